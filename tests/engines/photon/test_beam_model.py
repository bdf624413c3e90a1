"""The beam model file: round trip, refusals, the shipped model's calibration and plausibility."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engines.errors import EngineError
from engines.photon.beam_model import BeamModel, Reference, load_beam_model, save_beam_model
from engines.photon.calibrate import axis_dose, gy_per_mu, square_field
from engines.photon.raster import Raster

MODEL_FILE = Path(__file__).resolve().parents[3] / "models" / "beam" / "generic_6mv.json"


def test_written_means_read_back(model, tmp_path):
    save_beam_model(model, tmp_path / "copy.json")
    again = load_beam_model(tmp_path / "copy.json")
    assert (again.name, again.sad_mm, again.betas_per_mm) == (model.name, model.sad_mm, model.betas_per_mm)
    assert (again.reference, again.collimation) == (model.reference, model.collimation)
    assert again.provenance == model.provenance
    assert [k.ssd_mm for k in again.kernels] == [k.ssd_mm for k in model.kernels]
    for k, other in zip(again.kernels, model.kernels, strict=True):
        np.testing.assert_allclose(k.values, other.values, rtol=5e-7)
        assert np.array_equal(k.radius_mm, other.radius_mm)


def test_an_uncalibrated_model_is_written_and_read_but_gives_no_gray(model, tmp_path):
    save_beam_model(replace(model, reference=None), tmp_path / "raw.json")
    raw = load_beam_model(tmp_path / "raw.json")
    assert raw.reference is None
    with pytest.raises(EngineError, match="no output calibration"):
        gy_per_mu(raw)


def _set(path: str, value: object):
    def change(raw: dict) -> None:
        *parents, last = path.split(".")
        for key in parents:
            raw = raw[int(key)] if isinstance(raw, list) else raw[key]
        raw[last] = value

    return change


HEAD = {"weight": 0.08, "sigma_mm": 28.0, "distance_mm": 125.0, "collimator_mm": 450.0}


def _headed_without_profile(raw: dict) -> None:
    raw["extra_focal"], raw["profile"]["relative"][-1] = HEAD, 0.0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_set("format", "couchside-beam-model-2"), "is not couchside-beam-model-1"),
        (lambda raw: raw.pop("betas_per_mm"), "KeyError: 'betas_per_mm'"),
        (_set("betas_per_mm", [0.1, 0.2]), "not enough values"),
        (_set("sad_mm", 100.0), "source-axis distance"),
        (_set("sad_mm", float("nan")), "source-axis distance"),
        (_set("attenuation_per_mm", -0.005), "attenuation"),
        (_set("betas_per_mm", [0.005066, 0.02, 0.3]), "betas"),
        (_set("kernels", []), "at least one kernel|IndexError"),
        (_set("kernel_radius_mm", [0.0, 1.0]), "3 x radii"),
        (lambda raw: raw["kernel_radius_mm"].reverse(), "radii must grow"),
        (_set("kernels.0.values_per_mm2", [[float("nan")] * 360] * 3), "finite"),
        (_set("penumbra_fwhm_mm", 0.0), "penumbra"),
        (_set("collimation.leaf_transmission", 0.5), "leaf transmission"),
        (_set("collimation.jaw_transmission", -0.1), "jaw transmission"),
        (_set("collimation.unknown", 1.0), "TypeError"),
        (_set("profile.relative", [1.0]), "profile"),
        (_set("reference.gy_per_mu", 0.0), "reference"),
        (_set("softening", [20.0, 0.0]), "softening"),
        (_set("softening", [0.0, float("nan")]), "softening"),
        (_set("extra_focal", {**HEAD, "weight": 0.6}), "extra-focal weight"),
        (_set("extra_focal", {**HEAD, "sigma_mm": 0.0}), "extra-focal sigma"),
        (_set("extra_focal", {**HEAD, "collimator_mm": 100.0}), "follow each other"),
        (_set("extra_focal", {**HEAD, "unknown": 1.0}), "TypeError"),
        (_headed_without_profile, "profile above"),
        (_set("reference.field_mm", -100.0), "reference"),
        (_set("reference.depth_mm", 0.0), "reference"),
    ],
)
def test_an_impossible_model_is_refused_with_its_reason(change, words, tmp_path):
    raw = json.loads(MODEL_FILE.read_text("utf-8"))
    change(raw)
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(raw), "utf-8")
    with pytest.raises(EngineError, match=words) as refused:
        load_beam_model(path)
    assert "bad.json" in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe"], ids=["empty", "cut", "a list", "not text"])
def test_a_file_of_something_else_is_refused(content, tmp_path):
    path = tmp_path / "other.json"
    path.write_bytes(content)
    with pytest.raises(EngineError, match=r"other\.json is not a usable beam model"):
        load_beam_model(path)


def test_the_calibration_of_the_shipped_model_holds_at_its_reference_conditions(model):
    r = model.reference
    assert r == Reference(ssd_mm=1000.0, depth_mm=15.0, field_mm=100.0, gy_per_mu=0.01)
    at_reference = axis_dose(model, field_mm=100.0, ssd_mm=1000.0, depth_mm=np.array([15.0]))
    assert gy_per_mu(model) * float(at_reference[0]) == pytest.approx(0.01, rel=1e-12)


def percent_depth_dose(model: BeamModel, field_mm: float, depth_mm: np.ndarray) -> np.ndarray:
    dose = axis_dose(model, field_mm=field_mm, ssd_mm=1000.0, depth_mm=depth_mm)
    return 100 * dose / dose.max()


def test_depth_dose_builds_up_then_falls(model):
    depth_mm = np.arange(0.0, 300.0, 1.0)
    pdd = percent_depth_dose(model, 100.0, depth_mm)
    deepest = int(pdd.argmax())
    assert 12 <= depth_mm[deepest] <= 18
    assert np.all(np.diff(pdd[: deepest + 1]) > 0)
    assert np.all(np.diff(pdd[deepest:]) < 0)
    assert pdd[0] == 0.0  # this model has no electron contamination: the surface dose is not to be trusted


def test_output_grows_with_the_field_and_penetration_too(model):
    sides = (20.0, 40.0, 60.0, 100.0, 150.0, 200.0, 300.0)
    depth_mm = np.array([15.0, 100.0, 200.0])
    doses = np.array([axis_dose(model, field_mm=s, ssd_mm=900.0, depth_mm=depth_mm) for s in sides])
    output = doses[:, 1] / doses[3, 1]
    assert np.all(np.diff(output) > 0)
    assert 0.7 < output[0] < 0.9
    assert 1.03 < output[5] < 1.15
    assert np.all(np.diff(doses[:, 1] / doses[:, 0]) > 0)  # more scatter at depth
    assert np.all(np.diff(doses[:, 2] / doses[:, 1]) > 0)


def test_axis_dose_is_what_the_dose_engine_gives(model):
    from engines.photon.frame import beam_frame

    from .water import centred_grid, field_dose, water

    grid = centred_grid((41, 101, 41), (5.0, 3.0, 5.0))  # y from -151.5; SSD 900 puts the face at y = -100
    grid = replace(grid, origin_mm=(grid.origin_mm[0], -98.5, grid.origin_mm[2]))
    dose = field_dose(model, water(grid), beam_frame((0, 0, 0), 0), (-50, 50), (-50, 50), pitch_mm=1.0)[20, :, 20]
    depth_mm = grid.axes_mm()[1] + 100.0
    expected = axis_dose(model, field_mm=100.0, ssd_mm=900.0, depth_mm=depth_mm)
    np.testing.assert_allclose(dose, expected, atol=5e-4 * float(expected.max()))


def test_the_nearest_kernel_table_is_taken(model):
    assert [k.ssd_mm for k in model.kernels] == [750, 800, 850, 900, 950, 1000]
    assert [model.kernels_at(s).ssd_mm for s in (0, 774, 776, 901, 5000)] == [750, 750, 800, 900, 1000]


def test_neighbouring_kernel_tables_change_dose_by_under_one_percent(model):
    depth_mm = np.array([15.0, 50.0, 100.0, 200.0])
    for near, far in zip(model.kernels, model.kernels[1:], strict=False):
        a, b = (
            axis_dose(replace(model, kernels=(k,)), field_mm=100.0, ssd_mm=900.0, depth_mm=depth_mm)
            for k in (near, far)
        )
        np.testing.assert_allclose(b / a, 1.0, atol=0.01)


def test_depth_factors_are_those_of_the_paper(model):
    # Bortfeld, Schlegel, Rhein 1993: f_i(d) = b_i / (b_i - m) (exp(-m d) - exp(-b_i d)), by hand at 100 mm.
    m, d = model.attenuation_per_mm, 100.0
    by_hand = [b / (b - m) * (np.exp(-m * d) - np.exp(-b * d)) for b in model.betas_per_mm]
    np.testing.assert_allclose(model.depth_factors(np.array([d]))[:, 0], by_hand, rtol=1e-12)
    assert not model.depth_factors(np.array([0.0])).any()


def test_square_field_covers_its_area():
    raster = Raster(u0_mm=-30.3, v0_mm=-29.1, pitch_mm=1.3, nu=48, nv=47)
    assert square_field(raster, 33.0).sum(dtype=float) * 1.3**2 == pytest.approx(33.0**2, rel=1e-5)
