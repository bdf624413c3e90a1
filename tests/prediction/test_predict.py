"""From a case to a predicted dose through features, a registered network and the runtime; and every way to none."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from appliance.contracts import Prediction
from appliance.errors import ModelError, SessionStopped
from appliance.prediction.opened import open_dose_network
from engines.runtime import Backend, RuntimeOptions
from tests.prediction.anatomies import PLANNED, Neck
from tests.prediction.tiny import case_of, goals, onnx_bytes, predictor

PRESCRIBED = onnx_bytes({"prescribed": [1.0]})
"""The dose that is prescribed, where it is."""
TO_THE_LEFT = onnx_bytes({"prescribed": [0.0, 0.25, 0.75], "plan_0": [0.1, 0.0, 0.0]})
"""Something that knows left from right."""


def asked(folder: Path, model: bytes = PRESCRIBED, neck: Neck | None = None) -> Prediction:
    return predictor(folder, model).predict(case_of(neck or Neck()), goals(), PLANNED)


def test_the_networks_dose_is_brought_to_the_image_in_gray(tmp_path: Path) -> None:
    neck = Neck()
    made = asked(tmp_path, neck=neck)
    assert made.reasons == ()
    assert made.dose is not None
    assert made.dose.grid == case_of(neck).image.grid
    (_, high), (_, low) = neck.targets
    assert made.dose.dose_gy[high] == pytest.approx(70.0, abs=1e-3)
    assert made.dose.dose_gy[low] == pytest.approx(56.0, abs=1e-3)
    assert not made.dose.dose_gy[~(high | low)].any()
    assert made.dose.dose_gy.dtype == np.float32


def test_it_names_the_file_it_came_from_and_how_long_each_part_took(tmp_path: Path) -> None:
    made = asked(tmp_path)
    assert made.dose is not None
    sha256 = predictor(tmp_path, PRESCRIBED).registry.entry("dose").sha256  # type: ignore[union-attr]
    assert (made.dose.model, made.dose.model_sha256) == (f"dose@{sha256[:8]}", sha256)
    assert list(made.seconds) == ["anatomy", "range", "opening", "features", "network", "interval"]
    assert all(seconds >= 0 for seconds in made.seconds.values())


def test_half_widths_are_the_calibrated_ones_and_nothing_where_dose_is_impossible(tmp_path: Path) -> None:
    neck = Neck()
    made = asked(tmp_path, neck=neck)
    assert made.dose is not None
    possible = made.dose.uncertainty_gy > 0
    np.testing.assert_allclose(made.dose.half_width_95_gy, 2 * made.dose.uncertainty_gy, rtol=1e-5)
    assert possible[neck.targets[0][1]].all()
    assert not possible[~neck.possible].any()
    assert {band.structure for band in made.dose.dvh} >= {"PTV_7000", "PTV_5600", "SpinalCord", "Parotid_L"}


def test_the_mirrored_patient_gets_the_mirrored_dose(tmp_path: Path) -> None:
    """Whatever the network thinks of left and right: the mean of both is even."""
    neck, other = Neck(), Neck()
    for mask in ("possible", "ct"):
        setattr(other, mask, np.ascontiguousarray(getattr(neck, mask)[..., ::-1]))
    other.targets = [(gy, np.ascontiguousarray(mask[..., ::-1])) for gy, mask in neck.targets]
    sides = {"Parotid_R": "Parotid_L", "Parotid_L": "Parotid_R"}
    other.organs = {sides.get(name, name): np.ascontiguousarray(mask[..., ::-1]) for name, mask in neck.organs.items()}
    weights = onnx_bytes({"prescribed": [0.0, 0.25, 0.75], "Parotid_L": [0.2, 0.0, 0.1]})
    one, two = asked(tmp_path, weights, neck), asked(tmp_path, weights, other)
    assert one.dose is not None
    assert two.dose is not None
    np.testing.assert_allclose(two.dose.dose_gy[..., ::-1], one.dose.dose_gy, atol=1e-3)
    assert one.dose.dose_gy[neck.organs["Parotid_L"]].mean() > 1.0


def test_two_passes_that_differ_widen_the_interval(tmp_path: Path) -> None:
    even, odd = asked(tmp_path / "a"), asked(tmp_path / "b", TO_THE_LEFT)
    assert even.dose is not None
    assert odd.dose is not None
    target = Neck().targets[0][1]
    edge = target & ~np.roll(target, 1, axis=2)
    assert odd.dose.uncertainty_gy[edge].mean() > even.dose.uncertainty_gy[edge].mean() + 1.0


def test_a_dose_is_never_negative(tmp_path: Path) -> None:
    made = asked(tmp_path, onnx_bytes({"prescribed": [-1.0]}))
    assert made.dose is not None
    assert made.dose.dose_gy.max() == 0.0
    assert made.dose.dose_gy.min() == 0.0


def test_a_network_is_opened_once(tmp_path: Path) -> None:
    one = predictor(tmp_path, PRESCRIBED)
    assert open_dose_network(one.options, one.registry) is open_dose_network(one.options, one.registry)
    fewer = replace(one.options, threads=2)
    assert open_dose_network(fewer, one.registry) is not open_dose_network(one.options, one.registry)


def test_a_backend_that_was_asked_for_and_is_not_here_is_named(tmp_path: Path) -> None:
    one = predictor(tmp_path, PRESCRIBED)
    wanted = replace(one, options=RuntimeOptions(backends=(Backend.TENSORRT, Backend.ONNX_CPU), threads=1))
    told = wanted.predict(case_of(Neck()), goals(), PLANNED)
    if open_dose_network(wanted.options, wanted.registry).network.backend is Backend.TENSORRT:
        assert told.notes == one.predict(case_of(Neck()), goals(), PLANNED).notes
    else:
        assert any("tensorrt" in note for note in told.notes)
    anything = replace(one, options=RuntimeOptions(threads=1))
    assert not any("tensorrt" in note for note in anything.predict(case_of(Neck()), goals(), PLANNED).notes)


def test_an_unknown_patient_is_refused_before_any_network_is_opened(tmp_path: Path) -> None:
    neck = Neck()
    neck.organs = {"Bladder": neck.organs["Larynx"]}
    one = predictor(tmp_path, b"no network at all")
    made = one.predict(case_of(neck), goals(), PLANNED)
    assert made.dose is None
    assert "None of the organs is contoured that the network knows" in made.reasons[0]
    assert "opening" not in made.seconds


def test_a_patient_who_is_unusual_is_predicted_with_a_warning(tmp_path: Path) -> None:
    made = predictor(tmp_path, PRESCRIBED).predict(
        case_of(Neck()), goals(), replace(PLANNED, gantry_deg=(0.0, 120.0, 240.0))
    )
    assert made.dose is not None
    assert any(sentence.startswith("3 beams") for sentence in made.dose.warnings)
    assert set(made.dose.warnings) <= set(made.sentences)


def spoilt_file(folder: Path) -> None:
    (folder / "dose.onnx").write_bytes(PRESCRIBED + b"\0")


def missing_file(folder: Path) -> None:
    (folder / "dose.onnx").unlink()


def missing_calibration(folder: Path) -> None:
    (folder / "calibration.json").unlink()


def calibration_of_another(folder: Path) -> None:
    told = json.loads((folder / "calibration.json").read_text())
    (folder / "calibration.json").write_text(json.dumps(told | {"network_sha256": "0" * 64}))


def missing_band(folder: Path) -> None:
    (folder / "band.json").unlink()


def band_of_another(folder: Path) -> None:
    told = json.loads((folder / "band.json").read_text())
    (folder / "band.json").write_text(json.dumps(told | {"network_sha256": "0" * 64}))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (missing_band, "the calibration of histogram bands cannot be read"),
        (band_of_another, "band.json is of the network 00000000"),
        (spoilt_file, "is not the registered one"),
        (missing_file, "dose.onnx of the model 'dose' cannot be read"),
        (missing_calibration, "the calibration of the dose network cannot be read"),
        (calibration_of_another, "calibrates the network 00000000"),
    ],
)
def test_a_wrong_file_is_a_reason_not_a_dose(spoil: object, said: str, tmp_path: Path) -> None:
    # A network of its own for each case: opened ones are kept, as they must be.
    one = predictor(tmp_path, onnx_bytes({"prescribed": [1.0 + 0.001 * len(said)]}))
    spoil(tmp_path)  # type: ignore[operator]
    made = one.predict(case_of(Neck()), goals(), PLANNED)
    assert made.dose is None
    (reason,) = made.reasons
    assert said in reason
    if "calibrat" in said:
        with pytest.raises(ModelError, match=said):
            one.check()


def test_what_belongs_to_the_network_is_checked_without_opening_it(tmp_path: Path) -> None:
    one = predictor(tmp_path, b"no network at all")
    assert one.check() == hashlib.sha256(b"no network at all").hexdigest()


def test_a_result_that_is_no_number_is_a_reason(tmp_path: Path) -> None:
    made = asked(tmp_path, onnx_bytes({"prescribed": [-1.0]}, logarithm=True))
    assert made.dose is None
    assert made.reasons[0].startswith("The dose network failed")


def test_without_a_target_there_is_a_reason(tmp_path: Path) -> None:
    case = case_of(Neck())
    case = replace(case, structures=tuple(s for s in case.structures if not s.tg263.startswith("PTV")))
    made = predictor(tmp_path, PRESCRIBED).predict(case, goals(), PLANNED)
    assert made.dose is None
    assert "none of the prescribed targets" in made.reasons[0]


def test_a_person_can_stop_it(tmp_path: Path) -> None:
    def stop(step: str, share: float, /) -> None:
        if "features" in step:
            raise SessionStopped("enough", actor="uid 0")

    with pytest.raises(SessionStopped):
        predictor(tmp_path, PRESCRIBED).predict(case_of(Neck()), goals(), PLANNED, stop)
