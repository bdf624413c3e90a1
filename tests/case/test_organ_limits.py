"""Highest doses of organs, as a received plan states them, in the names of today's structures."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset

from appliance.case.plan import read_plan_file
from appliance.case.prescription import organ_limits_of
from appliance.contracts import Identity, OrganLimit, PrescribedTarget, Structure, StructureKind
from appliance.dicomio.files import save_durable
from appliance.dicomio.plan import plan_dataset
from engines.grid import VoxelSet

from .test_assemble import PLAN

NOTHING = VoxelSet(np.empty(0, np.int32), np.empty(0, np.float32))
STRUCTURES = (
    Structure(1, "PTV", "PTV_7000", StructureKind.TARGET, (), NOTHING),
    Structure(2, "Myelon", "SpinalCord", StructureKind.ORGAN, (), NOTHING),
    Structure(3, "RightParotid", "Parotid_R", StructureKind.ORGAN, (), NOTHING),
)


@pytest.fixture
def limits(study, tmp_path):
    """(description, ROI number, Gy) of what a plan states, as read back against structures of its own structure set or
    of that with `uid`."""

    def read(*stated, uid=None):
        source = study.structure_set()
        dataset = plan_dataset(
            PLAN,
            identity=Identity("x", "x", "", "", "1.2"),
            structure_set=source,
            predecessor=None,
            prescription=(PrescribedTarget("PTV_7000", 70.0),),
            frame_of_reference_uid="1.2.3",
        )
        for description, roi, most_gy in stated:
            item = Dataset()
            item.DoseReferenceNumber = len(dataset.DoseReferenceSequence) + 1
            item.DoseReferenceStructureType, item.DoseReferenceType = "SITE", "ORGAN_AT_RISK"
            item.DoseReferenceDescription = description
            if roi:
                item.ReferencedROINumber = roi
            if most_gy:
                item.OrganAtRiskMaximumDose = most_gy
            dataset.DoseReferenceSequence.append(item)
        reading = read_plan_file(save_durable(dataset, tmp_path / "RP.dcm").path)
        assert [one.dose_gy for one in reading.prescription] == [70.0]
        return organ_limits_of(reading, STRUCTURES, uid or source.sop_instance_uid)

    return read


def test_an_organ_is_known_by_its_name_of_then_or_now(limits):
    found = limits(("SpinalCord", 0, 45.0), ("RightParotid", 0, 60.0))
    assert found == (OrganLimit("SpinalCord", 45.0), OrganLimit("Parotid_R", 60.0))


def test_the_stricter_of_two_counts(limits):
    assert limits(("SpinalCord", 0, 48.0), ("Myelon", 0, 45.0)) == (OrganLimit("SpinalCord", 45.0),)


def test_a_number_counts_only_in_the_structure_set_that_it_was_given_in(limits):
    assert limits(("", 3, 60.0)) == (OrganLimit("Parotid_R", 60.0),)
    assert limits(("", 3, 60.0), uid="1.2.9") == ()


def test_what_is_no_organ_of_today_or_states_no_highest_dose_is_left_out(limits):
    assert limits(("Brainstem", 0, 54.0), ("PTV", 1, 77.0), ("SpinalCord", 0, 0.0)) == ()


def test_without_a_plan_there_is_none():
    assert organ_limits_of(None, STRUCTURES, "1.2.3") == ()
