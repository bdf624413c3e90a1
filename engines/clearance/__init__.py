"""Distances between points of a patient or couch and the simple solids that stand for a gantry. Arrays in, arrays out.

All points are offsets from the isocentre in one frame that does not turn with the gantry (here patient LPS, mm).
"""

from engines.clearance.axes import TURN_STEP_DEG, Turn, gantry_axes, swept
from engines.clearance.outline import box_points, outline_points
from engines.clearance.solids import bore_distances, head_distances

__all__ = [
    "TURN_STEP_DEG",
    "Turn",
    "bore_distances",
    "box_points",
    "gantry_axes",
    "head_distances",
    "outline_points",
    "swept",
]
