"""A small cylinder patient and hand-made plans for the planning tests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import (
    Beam,
    Case,
    ClinicalGoal,
    Comparator,
    ControlPoint,
    GoalSet,
    Identity,
    Image,
    Jaws,
    Metric,
    Plan,
    SourceObject,
    Structure,
    StructureKind,
)
from appliance.planning.final_dose import DoseOptions
from appliance.planning.machine import load_machine
from engines.grid import Grid, VoxelSet

BORDERS_MM = tuple(float(b) for b in load_machine("millennium120").mlc.boundaries_mm)
PAIRS = len(BORDERS_MM) - 1
SOURCE = SourceObject("1.2", "1.2.3", "1.2.4", "CT", Path("none"), "0" * 64)


PENCIL: DoseOptions = {"beam_model": "couchside_6mv", "density": "generic_ct", "algorithm": "pencil_beam"}
"""What tests of doses calculate with unless they name something else: the faster algorithm."""


def structure(number: int, name: str, kind: StructureKind, share: NDArray[np.floating]) -> Structure:
    return Structure(number, name, name, kind, (), VoxelSet.from_dense(share.astype(np.float32)))


def case_of(grid: Grid, hu: NDArray[np.int16], structures: tuple[Structure, ...], position: str = "HFS") -> Case:
    return Case(
        digest="d" * 64,
        identity=Identity("x", "x", "", "", "1.2"),
        frame_of_reference_uid="1.2.3",
        patient_position=position,
        image=Image(grid, hu),
        structures=structures,
        prescription=(),
        fractions=5,
        images=(SOURCE,),
        structure_set=SOURCE,
    )


def cylinder_case(spacing_mm: float = 4.0) -> Case:
    """Water cylinder of 80 mm radius, 96 mm long; a target ball of 18 mm beside an organ ball of 12 mm."""
    n, nz = int(176 / spacing_mm), int(96 / spacing_mm)
    origin = -(n - 1) * spacing_mm / 2
    grid = Grid((origin, origin, -(nz - 1) * spacing_mm / 2), (spacing_mm,) * 3, (nz, n, n))
    x, y, z = grid.axes_mm()
    xx, yy, zz = x[None, None, :], y[None, :, None], z[:, None, None]
    body = np.broadcast_to(np.hypot(xx, yy) < 80, grid.shape)
    ball = (xx - 5) ** 2 + (yy + 10) ** 2 + zz**2 < 18**2
    organ = (xx - 5) ** 2 + (yy - 26) ** 2 + zz**2 < 12**2
    hu = np.where(body, 0, -1000).astype(np.int16)
    kinds = StructureKind
    return case_of(
        grid,
        hu,
        (
            structure(1, "External", kinds.EXTERNAL, body),
            structure(2, "PTV", kinds.TARGET, ball),
            structure(3, "Core", kinds.ORGAN, organ),
        ),
    )


def goal(name: str, metric: str, comparator: str, limit: float, *, unit: str = "Gy", priority: int = 1) -> ClinicalGoal:
    return ClinicalGoal(name, Metric.parse(metric), Comparator(comparator), limit, unit, priority, "test")


def goal_set(*goals: ClinicalGoal, dose_gy: float = 20.0, fractions: int = 5, beams: int = 5) -> GoalSet:
    return GoalSet(
        "small", "Small", "small", fractions, (("PTV", dose_gy),), goals, "g" * 64, beams=beams, hot_spot_percent=112.0
    )


SMALL_GOALS = goal_set(
    goal("PTV", "D95%", ">=", 19.5), goal("PTV", "D2%", "<=", 22.0), goal("Core", "Mean", "<=", 14.0, priority=2)
)


def leaves(a_mm: float, b_mm: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return (a_mm,) * PAIRS, (b_mm,) * PAIRS


def point(mu: float, jaws: Jaws, a: tuple[float, ...] = (), b: tuple[float, ...] = (), gantry: float = 0.0):
    return ControlPoint(mu, gantry, 0.0, 0.0, jaws, a, b)


def beam(
    *points: ControlPoint,
    number: int = 1,
    isocentre_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
    borders_mm: tuple[float, ...] = BORDERS_MM,
) -> Beam:
    return Beam(number, "B", "COUCHSIDE_M120", 6.0, "STANDARD", isocentre_mm, 1000.0, 600.0, borders_mm, points)


def plan(*beams: Beam, fractions: int = 1, position: str = "HFS") -> Plan:
    return Plan("T", beams, fractions, position)


SQUARE = Jaws(-50.0, 50.0, -50.0, 50.0)


def segment(start: float, mu: float, a: tuple[float, ...], b: tuple[float, ...], jaws: Jaws = SQUARE):
    """The two control points of a step-and-shoot segment."""
    return point(start, jaws, a, b), point(start + mu, jaws, a, b)


def legal_plan() -> Plan:
    """Two beams: one of two segments, one of one; every limit of the machine holds."""
    shape, other = leaves(-30.0, 20.0), leaves(-10.0, 35.0)
    first = beam(*segment(0, 50, *shape), *segment(50, 30, *other))
    second = beam(*(replace(p, gantry_deg=90.0) for p in segment(0, 80, *shape)), number=2)
    return plan(first, second, fractions=5)


def water_box(ssd_mm: float = 1000.0) -> Image:
    """Water, 63 x 60 x 63 voxels of 4 x 3 x 4 mm; its front face stands ssd_mm from a source at y = -1000."""
    hu = np.zeros((63, 60, 63), np.int16)
    return Image(Grid((-124.0, ssd_mm - 1000.0 + 1.5, -124.0), (4.0, 3.0, 4.0), hu.shape), hu)
