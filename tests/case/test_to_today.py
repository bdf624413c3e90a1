"""What planning is told of how today's targets lie."""

from __future__ import annotations

import numpy as np

from appliance.case.to_today import target_shift_mm
from appliance.contracts import Structure, StructureKind
from appliance.contracts.anatomy import Anatomy, AnatomyReport, DensitySource, StructureChange, TableShift, Verdict
from engines.grid import VoxelSet

NOTHING = VoxelSet(np.empty(0, np.int32), np.empty(0, np.float32))


def structure(name: str, kind: StructureKind) -> Structure:
    return Structure(1, name, name, kind, (), NOTHING)


STRUCTURES = (
    structure("PTV_High", StructureKind.TARGET),
    structure("PTV_Low", StructureKind.TARGET),
    structure("Cord", StructureKind.ORGAN),
)


def change(name: str, today_cc: float, shift_mm: tuple[float, float, float]) -> StructureChange:
    return StructureChange(name, "propagated", 50.0, today_cc, shift_mm, 1.0, 2.0, 0.9, 0.9)


def anatomy(*changes: StructureChange) -> Anatomy:
    matrix = tuple(tuple(row) for row in np.eye(4).tolist())
    still = TableShift(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    report = AnatomyReport(
        Verdict.WITHIN, still, matrix, "", (0.0, 0.0, 0.0), DensitySource.TODAY_CT, measures=(), changes=changes
    )
    return Anatomy(report)


def test_each_target_counts_by_its_volume_and_organs_do_not():
    found = anatomy(
        change("PTV_High", 30.0, (4.0, 0.0, -2.0)),
        change("PTV_Low", 90.0, (0.0, 8.0, 2.0)),
        change("Cord", 500.0, (20.0, 20.0, 20.0)),
    )
    assert target_shift_mm(found, STRUCTURES) == (1.0, 6.0, 1.0)


def test_nothing_is_known_without_a_match_or_without_a_target_in_both():
    assert target_shift_mm(None, STRUCTURES) is None
    assert target_shift_mm(anatomy(), STRUCTURES) is None
    assert target_shift_mm(anatomy(change("Cord", 500.0, (20.0, 20.0, 20.0))), STRUCTURES) is None
    assert target_shift_mm(anatomy(change("PTV_Low", 0.0, (1.0, 1.0, 1.0))), STRUCTURES) is None
