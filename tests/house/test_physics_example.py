"""The example of docs/physics.md runs as it stands, on a machine file of matRad's structure."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def machine_file(tmp_path: Path) -> Path:
    radius_mm = np.arange(0.0, 60.0, 0.5)
    wide = np.exp(-radius_mm / 10.0) / 1000.0
    primary = np.where(radius_mm == 0.0, 3.0, 0.0)
    kernel = {"SSD": 900.0, "kernel1": primary + wide, "kernel2": wide, "kernel3": 0.5 * wide}
    data = {
        "betas": np.array([0.3, 0.02, 0.005]),
        "energy": 6.0,
        "m": 0.004,
        "primaryFluence": np.array([[0.0, 1.0], [300.0, 1.0]]),
        "kernel": [kernel],
        "kernelPos": radius_mm,
        "penumbraFWHMatIso": 5.0,
    }
    savemat(tmp_path / "photons_Generic.mat", {"machine": {"meta": {"SAD": 1000.0}, "data": data}})
    return tmp_path


def test_the_example_gives_a_symmetric_field(machine_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = re.search(r"```python\n(.*?)```", (ROOT / "docs" / "physics.md").read_text("utf-8"), re.S)
    assert code is not None
    monkeypatch.chdir(machine_file)
    names: dict[str, np.ndarray] = {}
    exec(code.group(1), names)
    dose = names["dose"]
    assert dose.shape == (101, 100, 101)
    np.testing.assert_allclose(dose, dose[::-1], atol=2e-4 * dose.max())
    np.testing.assert_allclose(dose, dose[:, :, ::-1], atol=2e-4 * dose.max())
    assert dose[50, 33, 50] > 20 * dose[50, 33, 0]


def test_the_bixel_example_adds_its_beams(machine_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It continues the first example; two opposed bixels of water give a dose that is symmetric between them."""
    first, second = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "physics.md").read_text("utf-8"), re.S)
    monkeypatch.chdir(machine_file)
    names: dict[str, object] = {}
    exec(first, names)
    shape = (101, 100, 101)
    one = (np.array([[0.0, 0.0]]), np.array([2.0]))
    names |= {"hu": np.zeros(shape), "body": np.ones(shape, bool), "isocentre_mm": (0.0, 50.0, 0.0)}
    names["beams"] = [(90.0, *one), (270.0, *one)]
    exec(second, names)
    dose = np.asarray(names["dose"])
    np.testing.assert_allclose(dose, dose[:, :, ::-1], atol=2e-4 * dose.max())
    row = round((50.0 + 98.5) / 3.0)
    assert dose[50, row, 50] > 20 * dose[50, row + 15, 50] > 0
