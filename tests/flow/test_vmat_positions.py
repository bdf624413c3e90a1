"""An arc with collimator and couch turned, on one patient lying in each of the four positions: the dose in the patient
is the same, and the plan comes back from its DICOM file as it was.

As in test_patient_positions, with the couch: by IEC 61217 the table turns about the vertical, so a patient turned about
the long or the lateral axis needs the opposite couch angle, one turned about the vertical the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from appliance.case import read_plan, read_structures
from appliance.case.image import read_image
from appliance.config import PlanningConfig
from appliance.contracts import Plan, StructureKind
from appliance.planning import calculate_dose, check_plan, dose_options

from ..cli.conftest import Ran
from .planned import arc, write_plan
from .test_patient_positions import SUPINE_ANGLES, whole_dose_gy, write_patient

COUCH_SIGN = {"HFS": 1.0, "HFP": -1.0, "FFS": 1.0, "FFP": -1.0}
SUPINE = Plan("VMAT", (arc(20.0, 140.0, collimator_deg=20.0, couch_deg=5.0),), 5, "HFS", "VMAT")


def lying(position: str, couch_sign: float | None = None) -> Plan:
    """The supine arc as the patient in that position needs it: each map of SUPINE_ANGLES is its own inverse."""
    gantry_of, turned_deg = SUPINE_ANGLES[position]
    sign = COUCH_SIGN[position] if couch_sign is None else couch_sign
    [beam] = SUPINE.beams
    points = tuple(
        replace(
            p,
            gantry_deg=gantry_of(p.gantry_deg) % 360.0,
            collimator_deg=(p.collimator_deg + turned_deg) % 360.0,
            couch_deg=(sign * p.couch_deg) % 360.0,
        )
        for p in beam.control_points
    )
    return replace(SUPINE, patient_position=position, beams=(replace(beam, control_points=points),))


Calculate = Callable[[Plan], NDArray[np.float32]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("arcs")


@pytest.fixture
def calculated(folder: Path, run: Callable[..., Ran]) -> Calculate:
    def calculate(plan: Plan) -> NDArray[np.float32]:
        study = folder / plan.patient_position
        if not study.exists():
            write_patient(study, plan.patient_position)
        name = f"{plan.patient_position}-{plan.digest[:8]}"
        dose = folder / f"{name}-dose.dcm"
        if not dose.exists():  # each plan once, the supine one for all tests
            written = write_plan(plan, study, folder / f"{name}.dcm")
            ran = run("dose", written, "--ct", study, "--out", dose, "--json")
            assert ran.code == 0, ran.err
            assert json.loads(ran.out)["technique"] == "VMAT"
        return whole_dose_gy(dose)

    return calculate


@pytest.mark.parametrize("position", ["HFP", "FFS", "FFP"])
def test_an_arc_gives_the_same_dose_in_every_position(calculated: Calculate, position: str) -> None:
    supine_gy, turned_gy = calculated(SUPINE), calculated(lying(position))
    assert check_plan(lying(position)).deliverable
    assert np.abs(turned_gy - supine_gy).max() < 1e-3 * supine_gy.max()
    wrong_gy = calculated(lying(position, couch_sign=-COUCH_SIGN[position]))
    assert np.abs(wrong_gy - supine_gy).max() > 0.05 * supine_gy.max(), "a couch turned the wrong way shows"


def test_an_arc_comes_back_from_its_file_as_it_was(calculated: Calculate, folder: Path) -> None:
    dose_gy = calculated(SUPINE)
    path = folder / f"HFS-{SUPINE.digest[:8]}.dcm"
    [read], [written] = read_plan(path).beams, SUPINE.beams
    assert read_plan(path).technique == "VMAT"
    assert (read.isocentre_mm, read.leaf_boundaries_mm) == (written.isocentre_mm, written.leaf_boundaries_mm)
    for one, other in zip(read.control_points, written.control_points, strict=True):
        assert one.cumulative_mu == pytest.approx(other.cumulative_mu, abs=1e-5)
        for name in ("gantry_deg", "collimator_deg", "couch_deg"):
            assert getattr(one, name) == pytest.approx(getattr(other, name), abs=0.0051)
        np.testing.assert_allclose(one.leaf_a_mm, other.leaf_a_mm, atol=0.0051)
        np.testing.assert_allclose(one.leaf_b_mm, other.leaf_b_mm, atol=0.0051)
        assert one.jaws == other.jaws
    series = read_image([p for p in (folder / "HFS").iterdir() if p.name.startswith("CT")])
    structures = read_structures(folder / "HFS" / "RS.dcm", series).structures
    external = next(item for item in structures if item.kind is StructureKind.EXTERNAL)
    again = calculate_dose(SUPINE, series.image, external.voxels, **dose_options(PlanningConfig(), structures))
    assert np.abs(again.dose_gy - dose_gy).max() < 2e-3 * dose_gy.max()


def test_an_arc_of_static_fields_is_the_arc(calculated: Calculate) -> None:
    """The same arc in steps of 2 instead of 6 degrees, leaves in between: the same dose to the steps' size."""
    [beam] = SUPINE.beams
    fine = []
    for before, after in pairwise(beam.control_points):
        for share in (0.0, 1 / 3, 2 / 3):
            mixed = {
                name: tuple((1 - share) * np.array(getattr(before, name)) + share * np.array(getattr(after, name)))
                for name in ("leaf_a_mm", "leaf_b_mm")
            }  # fmt: skip
            mu = (1 - share) * before.cumulative_mu + share * after.cumulative_mu
            gantry_deg = (1 - share) * before.gantry_deg + share * after.gantry_deg
            fine.append(replace(before, cumulative_mu=round(mu, 5), gantry_deg=gantry_deg, **mixed))
    plan = replace(SUPINE, beams=(replace(beam, control_points=(*fine, beam.control_points[-1])),))
    one, other = calculated(SUPINE), calculated(plan)
    assert np.abs(one - other).max() < 0.01 * one.max()


def test_a_mirrored_patient_position_is_not_accepted_quietly(folder: Path, run: Callable[..., Ran]) -> None:
    """A plan for FFS on the CT of a patient who lies HFS."""
    study = folder / "HFS"
    if not study.exists():
        write_patient(study, "HFS")
    written = write_plan(lying("FFS"), study, folder / "wrong.dcm")
    ran = run("dose", written, "--ct", study, "--out", folder / "never.dcm", "--json")
    assert ran.code == 4 and "FFS" in ran.err
    assert not (folder / "never.dcm").exists()
