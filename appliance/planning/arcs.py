"""Arcs of a VMAT plan: gantry angles of their control points, the directions between, and sectors for the fluence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.config import PlanningConfig
from appliance.contracts import Case
from appliance.planning.collimator_angle import collimator_deg
from appliance.planning.geometry import Arrangement, Direction, isocentre_of
from appliance.planning.machine import Machine
from appliance.planning.pieces import ARC_STEP_DEG
from engines.photon.frame import BeamFrame, beam_frame

ARC_MARGIN_DEG = 1.0
"""A full turn begins and ends this far from the stop that the gantry cannot cross, so that its ends are two angles."""
SECTOR_DEG = 12.0
"""Width of the sectors whose fluence an arc starts from (chosen: narrower sectors leave less time to shape each, wider
ones blur the fluence over more directions)."""
FULL_TURN_DEG = 360.0


@dataclass(frozen=True, eq=False)
class Arc:
    """gantry_deg (points,) IEC, of the control points in order, as exported; turn_deg: sign is the direction, positive
    clockwise as IEC counts; frames: one for the middle of each interval."""

    gantry_deg: tuple[float, ...]
    turn_deg: float
    collimator_deg: float
    frames: tuple[BeamFrame, ...]


@dataclass(frozen=True)
class Sector:
    """Intervals first..last (exclusive) of an arc, which share one fluence direction."""

    arc: int
    first: int
    last: int


def plan_arcs(case: Case, machine: Machine, config: PlanningConfig, spared: tuple[str, ...] = ()) -> tuple[Arc, ...]:
    """As many arcs as config.beams says (0: one), turning to and fro over the machine's range. spared: organs
    with goals. Raises PlanningError
    without a target."""
    isocentre = isocentre_of(case)
    low, high = machine.gantry.range_deg
    if high - low >= FULL_TURN_DEG - 2 * ARC_MARGIN_DEG:
        middle = 0.5 * (low + high)
        low, high = middle - 180.0 + ARC_MARGIN_DEG, middle + 180.0 - ARC_MARGIN_DEG
    intervals = int(np.ceil((high - low) / ARC_STEP_DEG - 1e-9))
    turn = (high - low) / intervals
    turned = collimator_deg(case, machine, spared)
    back_turned = -turned if machine.collimator.reaches(-turned) else turned
    arcs = []
    for number in range(config.beams or 1):
        back = number % 2 == 1
        collimator = (back_turned if back else turned) % FULL_TURN_DEG
        start, step = (high, -turn) if back else (low, turn)
        angles = [start + step * i for i in range(intervals + 1)]
        frames = tuple(
            beam_frame(
                isocentre,
                angle + 0.5 * step,
                collimator_deg=collimator,
                sad_mm=machine.sad_mm,
                patient_position=case.patient_position,
            )
            for angle in angles[:-1]
        )
        arcs.append(Arc(tuple(round(a % FULL_TURN_DEG, 2) for a in angles), step, collimator, frames))
    return tuple(arcs)


def arc_sectors(case: Case, machine: Machine, arcs: tuple[Arc, ...]) -> tuple[Arrangement, tuple[Sector, ...]]:
    """Directions of the fluence stage, one in the middle of each sector, and the sectors in the same order."""
    isocentre = isocentre_of(case)
    sectors, directions, frames = [], [], []
    for number, arc in enumerate(arcs):
        intervals = len(arc.frames)
        count = max(1, round(abs(arc.turn_deg) * intervals / SECTOR_DEG))
        for part in np.array_split(np.arange(intervals), count):
            first, last = int(part[0]), int(part[-1]) + 1
            angle = arc.gantry_deg[0] + arc.turn_deg * 0.5 * (first + last)
            sectors.append(Sector(number, first, last))
            directions.append(Direction(round(angle % FULL_TURN_DEG, 2), arc.collimator_deg))
            frames.append(
                beam_frame(
                    isocentre,
                    angle,
                    collimator_deg=arc.collimator_deg,
                    sad_mm=machine.sad_mm,
                    patient_position=case.patient_position,
                )
            )
    return Arrangement(isocentre, tuple(directions), tuple(frames)), tuple(sectors)


def used_rows(open_rows: list[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    """(rows,) true from the first to the last row that faces a target from any of the directions."""
    used = np.flatnonzero(np.any(open_rows, axis=0))
    row = np.arange(open_rows[0].size)
    return np.asarray((row >= used[0]) & (row <= used[-1]))
