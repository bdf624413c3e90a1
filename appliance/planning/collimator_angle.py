"""Collimator angle of an arc: the one at which leaf rows have to spare the least in the middle of their opening."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import Case, StructureKind
from appliance.planning.beamlets import MARGIN_MM
from appliance.planning.geometry import isocentre_of, target_points_mm
from appliance.planning.machine import Machine
from appliance.planning.segments import FIELD_ROOM_MM
from engines.photon.frame import BeamFrame, beam_frame

CANDIDATES_DEG = (15.0, 75.0, 45.0, 10.0, 5.0)
"""In order of preference. Chosen: at 0 what leaks between leaves and their tongues would lie in the same transverse
planes from everywhere; 15 degrees spreads it over 26 mm at 50 mm from the axis, 5 degrees over 9 mm."""
LOOKED_AT_DEG, CELL_MM = 20, 5.0
"""Gantry angles and cells in which fields are looked at (a cell is a leaf of the middle of the field)."""
CLEARLY = 0.8
"""A later candidate is taken only if it has fewer split rows than this share of the best before it (chosen)."""


def collimator_deg(case: Case, machine: Machine, spared: tuple[str, ...]) -> float:
    """The candidate with the fewest rows that face target on both sides of an organ, among those that leave the field
    no wider than a bank may span; the last where none does. spared: names of organs with goals; others do not count.
    Of a collimator that reaches none of them the angle nearest to 0.

    Raises PlanningError without a target."""
    targets = target_points_mm(case)
    candidates = [angle for angle in CANDIDATES_DEG if machine.collimator.reaches(angle)]
    if not candidates:
        return machine.collimator.still_deg
    organs = [
        case.image.grid.centres_mm(s.voxels.index)
        for s in case.structures
        if s.kind is StructureKind.ORGAN and s.tg263 in spared and not s.voxels.empty
    ]
    organ = np.concatenate(organs) if organs else np.zeros((0, 3), np.float32)
    best, fewest = candidates[-1], np.inf
    for angle in candidates:
        frames = [
            beam_frame(
                isocentre_of(case),
                float(gantry),
                collimator_deg=angle,
                sad_mm=machine.sad_mm,
                patient_position=case.patient_position,
            )
            for gantry in range(0, 360, LOOKED_AT_DEG)
        ]
        fields = [frame.project(targets) for frame in frames]
        width = max(float(u.max()) for u, _ in fields) - min(float(u.min()) for u, _ in fields)
        if width + 2 * (MARGIN_MM + FIELD_ROOM_MM) > machine.mlc.bank_span_max_mm:
            continue
        split = sum(split_rows(frame, targets, organ) for frame in frames)
        if split < fewest * CLEARLY:
            best, fewest = angle, split
    return best


def split_rows(frame: BeamFrame, targets_mm: NDArray[np.float32], organ_mm: NDArray[np.float32]) -> int:
    """Further openings that rows would need to show all target and no organ, summed over rows."""
    u, v = frame.project(targets_mm)
    low = np.floor(np.array([v.min(), u.min()]) / CELL_MM)
    shape = tuple((np.floor(np.array([v.max(), u.max()]) / CELL_MM) - low + 1).astype(int))
    target = _cells(u, v, low, shape)
    seen = target & ~_cells(*frame.project(organ_mm), low, shape)
    starts = np.diff(np.pad(seen, ((0, 0), (1, 0))).astype(np.int8), axis=1) > 0
    whole = np.diff(np.pad(target, ((0, 0), (1, 0))).astype(np.int8), axis=1) > 0
    return int(np.maximum(starts.sum(axis=1) - np.maximum(whole.sum(axis=1), 1), 0).sum())


def _cells(
    u: NDArray[np.float64], v: NDArray[np.float64], low: NDArray[np.float64], shape: tuple[int, ...]
) -> NDArray[np.bool_]:
    found = np.zeros(shape, np.bool_)
    row, column = (np.floor(x / CELL_MM).astype(int) - int(least) for x, least in zip((v, u), low, strict=True))
    inside = (row >= 0) & (row < shape[0]) & (column >= 0) & (column < shape[1])
    found[row[inside], column[inside]] = True
    return found
