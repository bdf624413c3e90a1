"""One patient, lying in each of the four positions, through `couchside replan`: the dose in the patient is the same.

By IEC 61217 with the patient axes of DICOM PS3.3 C.7.3.1.1.2, a beam of gantry angle g and collimator angle c comes
from the same side of the patient, its collimator turned the same way, as a head-first supine one of
    HFP: gantry g + 180, collimator c        (the patient is turned about the long axis by half a turn)
    FFS: gantry -g,      collimator c + 180  (about the vertical axis)
    FFP: gantry 180 - g, collimator c + 180  (about the lateral axis)
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray

from appliance.case import read_dose
from appliance.contracts import Contour, Identity, Image, Structure, StructureKind
from appliance.dicomio.ct import write_ct_series
from appliance.dicomio.files import save_durable
from appliance.dicomio.structure_set import structure_set_dataset
from engines.grid import Grid

from ..cli.conftest import Ran
from ..session.small_case import GOALS, NO_VOXELS
from .bad_study import edited

GRID = Grid(origin_mm=(-97.5, -87.5, -27.5), spacing_mm=(5.0, 5.0, 5.0), shape=(14, 34, 40))
IDENTITY = Identity("POSITIONS-1", "Positions^Case", "", "O", "1.2.826.0.1.3680043.8.498.77", "1", "20260301", "0900")
FRAME_UID = "1.2.826.0.1.3680043.8.498.78"
# Four beams, because 0, 90, 180 and 270 degrees are the same four directions in every position.
COARSE = "[planning]\nbeams = 4\nbeamlet_mm = 10.0\ndose_grid_mm = 5.0\nsegments_per_beam = 3\nsparing_rounds = 0\n"
COARSE += "[evaluation]\nrobustness = false\nexplain_budget_s = 0\n"
SUPINE_ANGLES: dict[str, tuple[Callable[[float], float], float]] = {
    "HFS": (lambda gantry_deg: gantry_deg, 0.0),
    "HFP": (lambda gantry_deg: gantry_deg + 180.0, 0.0),
    "FFS": (lambda gantry_deg: -gantry_deg, 180.0),
    "FFP": (lambda gantry_deg: 180.0 - gantry_deg, 180.0),
}


def _ellipse(centre_mm: tuple[float, float], radii_mm: tuple[float, float], planes: range) -> tuple[Contour, ...]:
    angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    points = np.stack([np.cos(angle), np.sin(angle)], 1) * radii_mm + np.asarray(centre_mm)
    return tuple(Contour(float(GRID.axes_mm()[2][plane]), points) for plane in planes)


def _hounsfield() -> NDArray[np.int16]:
    """A body with a lung on the patient's right, bone behind and, in the upper half, air in front: no symmetry."""
    x_mm, y_mm, _ = GRID.axes_mm()
    x, y = np.meshgrid(x_mm, y_mm)
    hu = np.where((x / 85) ** 2 + (y / 70) ** 2 <= 1, 0, -1000).astype(np.int16)
    hu[((x + 45) / 25) ** 2 + (y / 35) ** 2 <= 1] = -700
    hu[(np.abs(x - 5) < 12) & (np.abs(y - 45) < 12)] = 800
    volume = np.repeat(hu[None], GRID.shape[0], axis=0)
    volume[8:, (np.abs(y_mm + 40) < 10)[:, None] & (np.abs(x_mm - 10) < 15)[None, :]] = -1000
    return volume


def write_patient(folder: Path, position: str) -> Path:
    images = write_ct_series(
        Image(GRID, _hounsfield()),
        identity=IDENTITY,
        frame_of_reference_uid=FRAME_UID,
        patient_position=position,
        folder=folder,
    )
    kinds = StructureKind
    structures = (
        Structure(1, "External", "External", kinds.EXTERNAL, _ellipse((0, 0), (85, 70), range(14)), NO_VOXELS),
        Structure(2, "PTV", "PTV", kinds.TARGET, _ellipse((20, -5), (22, 16), range(6, 11)), NO_VOXELS),
        Structure(3, "Core", "Core", kinds.ORGAN, _ellipse((-12, 22), (10, 12), range(4, 9)), NO_VOXELS),
    )
    dataset = structure_set_dataset(
        structures, identity=IDENTITY, frame_of_reference_uid=FRAME_UID, images=images, label="positions"
    )
    save_durable(dataset, folder / "RS.dcm")
    return folder


def whole_dose_gy(path: Path) -> NDArray[np.float32]:
    """The written dose on the patient's grid, zero where its box does not reach."""
    grid, dose_gy = read_dose(path)
    low = np.rint((np.subtract(grid.origin_mm, GRID.origin_mm) / GRID.spacing_mm)[::-1]).astype(int)
    whole = np.zeros(GRID.shape, np.float32)
    whole[tuple(slice(start, start + count) for start, count in zip(low, grid.shape, strict=True))] = dose_gy
    return whole


def as_supine(path: Path, to: Path, position: str) -> Path:
    """The plan as if the patient lay head first supine, by the table at the top."""
    gantry_of, turned_deg = SUPINE_ANGLES[position]
    to.write_bytes(path.read_bytes())
    with edited(to) as dataset:
        dataset.PatientSetupSequence[0].PatientPosition = "HFS"
        for beam in dataset.BeamSequence:
            beam.TreatmentMachineName = "TURNED"  # whose collimator may stand at 180 degrees
            for point in beam.ControlPointSequence:
                if "GantryAngle" in point:
                    point.GantryAngle = gantry_of(float(point.GantryAngle)) % 360.0
                if "BeamLimitingDeviceAngle" in point:
                    point.BeamLimitingDeviceAngle = (float(point.BeamLimitingDeviceAngle) + turned_deg) % 360.0
    return to


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("positions")
    (folder / "goals.toml").write_text(GOALS, "utf-8")
    (folder / "coarse.toml").write_text(COARSE, "utf-8")
    return folder


@pytest.fixture
def replanned(folder: Path, run: Callable[..., Ran]) -> Callable[[str], Path]:
    """The results of a position, planned once."""

    def replan(position: str) -> Path:
        out = folder / f"out-{position}"
        if not out.exists():
            study = write_patient(folder / position, position)
            goals, config = folder / "goals.toml", folder / "coarse.toml"
            ran = run("replan", study, "--out", out, "--goals", goals, "--config", config, "--json")
            assert ran.code == 0, ran.err
        return out

    return replan


@pytest.mark.parametrize("position", SUPINE_ANGLES)
def test_the_plan_gives_the_same_dose_as_its_supine_twin(
    replanned: Callable[[str], Path], folder: Path, run: Callable[..., Ran], tmp_path: Path, position: str
) -> None:
    """Written dose against the dose of the plan's supine twin on the supine CT: equal but for the 16 bits."""
    replanned("HFS")
    out = replanned(position)
    plan = pydicom.dcmread(out / "RP.dcm")
    assert {setup.PatientPosition for setup in plan.PatientSetupSequence} == {position}
    twin = as_supine(out / "RP.dcm", tmp_path / "twin.dcm", position)
    ran = run("dose", twin, "--ct", folder / "HFS", "--out", tmp_path / "twin-dose.dcm", "--json")
    assert ran.code == 0, ran.err
    planned_gy, twin_gy = whole_dose_gy(out / "RD.dcm"), whole_dose_gy(tmp_path / "twin-dose.dcm")
    assert planned_gy.max() > 15.0
    assert np.abs(planned_gy - twin_gy).max() < 1e-3 * planned_gy.max()
    mirrored = {axis: np.abs(np.flip(planned_gy, axis) - planned_gy).max() for axis in range(3)}
    assert min(mirrored.values()) > 0.2 * planned_gy.max(), "the patient is not symmetric, so a mirrored dose shows"


ROUNDING_GY = 0.2
"""1 % of the prescribed 20 Gy."""


@pytest.mark.parametrize("position", ["HFP", "FFS", "FFP"])
def test_the_plan_is_as_good_in_every_position(replanned: Callable[[str], Path], position: str) -> None:
    """The same four directions in the patient, so the same plan but for the optimiser's rounding."""
    card, supine = (json.loads((replanned(name) / "scorecard.json").read_text()) for name in (position, "HFS"))
    for goal, expected in zip(card["goals"], supine["goals"], strict=True):
        assert goal["value"] == pytest.approx(expected["value"], abs=ROUNDING_GY), goal["structure"]
    assert card["plan"]["mu"] == pytest.approx(supine["plan"]["mu"], rel=0.05)
    dose_gy, supine_gy = (whole_dose_gy(replanned(name) / "RD.dcm") for name in (position, "HFS"))
    assert np.abs(dose_gy - supine_gy).mean() < 0.01 * supine_gy.max()
