"""matRad's photon machine files: a tiny one written as matRad writes it, and refusal of everything else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from engines.errors import EngineError
from engines.photon.beam_model import Collimation, Reference
from engines.photon.calibrate import gy_per_mu
from engines.photon.matrad import import_matrad

RADIUS_MM = np.arange(0, 30, 0.5)


def machine() -> dict:
    """A structure as in matRad's photons_*.mat, small."""
    falling = np.exp(-RADIUS_MM / 4)
    kernel = np.zeros(2, dtype=[("SSD", object), ("kernel1", object), ("kernel2", object), ("kernel3", object)])
    for i, ssd in enumerate((900.0, 1000.0)):
        kernel[i] = (ssd, falling * (1 + i), falling * 0.1, falling * 0.01)
    return {
        "meta": {"SAD": 1000.0, "radiationMode": "photons", "name": "Tiny"},
        "data": {
            "energy": 6.0,
            "m": 0.005,
            "betas": np.array([0.3, 0.05, 0.01]),
            "penumbraFWHMatIso": 5.0,
            "primaryFluence": np.array([[0.0, 1.0], [50.0, 1.02], [150.0, 1.05]]),
            "kernelPos": RADIUS_MM,
            "kernel": kernel,
        },
    }


def write(folder: Path, content: dict, name: str = "photons_Tiny.mat") -> Path:
    savemat(folder / name, content, oned_as="row")
    return folder / name


def test_every_field_arrives(tmp_path):
    model = import_matrad(write(tmp_path, {"machine": machine()}), name="tiny")
    assert (model.name, model.energy_mv, model.sad_mm) == ("tiny", 6.0, 1000.0)
    assert (model.attenuation_per_mm, model.betas_per_mm) == (0.005, (0.3, 0.05, 0.01))
    assert model.penumbra_fwhm_mm == 5.0
    assert [k.ssd_mm for k in model.kernels] == [900.0, 1000.0]
    np.testing.assert_array_equal(model.kernels[1].values[0], 2 * np.exp(-RADIUS_MM / 4))
    np.testing.assert_array_equal(model.profile_radius_mm, [0, 50, 150])
    assert model.reference is None
    assert "photons_Tiny.mat" in model.provenance["source"]


def test_the_wanted_tables_only(tmp_path):
    model = import_matrad(write(tmp_path, {"machine": machine()}), name="tiny", ssd_mm=(1000.0,))
    assert [k.ssd_mm for k in model.kernels] == [1000.0]
    with pytest.raises(EngineError, match="no kernel for a source-surface distance"):
        import_matrad(tmp_path / "photons_Tiny.mat", name="tiny", ssd_mm=(123.0,))


def test_an_imported_machine_can_be_calibrated(tmp_path):
    reference = Reference(ssd_mm=1000.0, depth_mm=15.0, field_mm=40.0, gy_per_mu=0.01)
    collimation = Collimation(leaf_transmission=0.02, jaw_transmission=0.0, leaf_offset_mm=0.5)
    model = import_matrad(
        write(tmp_path, {"machine": machine()}), name="tiny", reference=reference, collimation=collimation
    )
    assert model.collimation == collimation
    assert 0 < gy_per_mu(model) < np.inf


def _without(key: str) -> dict:
    content = machine()
    del content["data"][key]
    return content


def _with(key: str, value: object) -> dict:
    content = machine()
    content["data"][key] = value
    return content


@pytest.mark.parametrize(
    "content",
    [
        {"pln": 1.0},
        {"machine": np.eye(3)},
        {"machine": _without("betas")},
        {"machine": _without("kernel")},
        {"machine": _with("betas", np.array([0.3, 0.05]))},
        {"machine": _with("m", np.array([0.1, 0.2]))},
        {"machine": _with("m", "fast")},
        {"machine": _with("primaryFluence", np.array([0.0, 1.0]))},
        {"machine": _with("kernelPos", RADIUS_MM[:-3])},
        {"machine": _with("kernelPos", RADIUS_MM[::-1])},
        {"machine": _with("penumbraFWHMatIso", -1.0)},
        {"machine": _with("data", 1) | {"meta": {}}},
    ],
    ids=[
        "another variable", "a matrix", "no betas", "no kernels", "two betas", "two attenuations", "words",
        "a profile without radii", "radii of another length", "falling radii", "impossible penumbra", "no SAD",
    ],
)  # fmt: skip
def test_another_matlab_file_is_refused(content, tmp_path):
    path = write(tmp_path, content, "other.mat")
    with pytest.raises(EngineError, match=r"other\.mat"):
        import_matrad(path, name="x")


@pytest.mark.parametrize("content", [b"", b"not a MATLAB file" * 20, b"MATLAB 5.0 MAT-file" + bytes(200)])
def test_a_file_that_is_no_matlab_file_is_refused(content, tmp_path):
    path = tmp_path / "broken.mat"
    path.write_bytes(content)
    with pytest.raises(EngineError, match=r"broken\.mat is not a matRad photon machine"):
        import_matrad(path, name="x")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(EngineError, match="is not a matRad photon machine"):
        import_matrad(tmp_path / "none.mat", name="x")
