"""Metal on today's image, and what lies beside it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from appliance.case.today.match import DayReference
from appliance.case.today.rules import finding
from appliance.contracts import Finding, StructureKind
from engines.calibration.peaks import Numbers
from engines.grid import Grid
from engines.registration import DisplacementField

METAL_HU = 2500
"""Denser is no tissue (chosen: enamel, the densest, reaches some 2500 to 3000 HU; titanium saturates the scale)."""

LEAST_CC = 0.05
"""Below this it is left unsaid (chosen: the cut of a dental filling, or noise in enamel)."""

NEAR_MM = 20.0
"""How far round it contours and densities are doubted (chosen: streaks are strongest within two centimetres)."""

SATURATED_HU = (3071, 4095)
"""Ends of the 12-bit range of CT values, with and without the offset of 1024."""

MOST_POINTS = 2000


def metal_findings(
    hu: Numbers, grid: Grid, reference: DayReference, to_reference: DisplacementField
) -> tuple[Finding, ...]:
    """hu: today's (z, y, x), of a CT or calibrated."""
    index = np.flatnonzero(hu.reshape(-1) >= METAL_HU)
    volume_cc = index.size * grid.voxel_volume_cc
    if volume_cc < LEAST_CC:
        return ()
    words = f"{volume_cc:.1f} cm³ are denser than {METAL_HU} HU"
    highest = int(hu.max())
    if highest in SATURATED_HU:
        words += f", and the scale ends there at {highest} HU: its density is not known from the image"
    beside = _beside(index, grid, reference, to_reference)
    words += f". Within {NEAR_MM:.0f} mm of it lie {', '.join(beside)}" if beside else ". No structure lies beside it"
    return (finding("day.metal", words),)


def _beside(index: NDArray[np.intp], grid: Grid, reference: DayReference, to_reference: DisplacementField) -> list[str]:
    points = to_reference.apply(grid.centres_mm(index[:: max(1, index.size // MOST_POINTS)]))
    where = reference.series.image.grid
    found = []
    for item in reference.structures.structures:
        if item.kind not in (StructureKind.TARGET, StructureKind.ORGAN) or item.voxels.empty:
            continue
        near = cKDTree(where.centres_mm(item.voxels.index)).query(points, distance_upper_bound=NEAR_MM)[0]
        if np.isfinite(near).any():
            found.append(item.tg263)
    return found
