"""What a machine needs to deliver control points: time, and how intricate its apertures are. Arrays in, arrays out."""

from engines.delivery.complexity import SMALL_MM, Complexity, Shapes, combined, complexity
from engines.delivery.sweep import Spread, Sweep, sweep
from engines.delivery.timing import AxisLimit, BeamTime, MotionLimits, Trajectory, beam_time, rest_to_rest_s

__all__ = [
    "SMALL_MM",
    "AxisLimit",
    "BeamTime",
    "Complexity",
    "MotionLimits",
    "Shapes",
    "Spread",
    "Sweep",
    "Trajectory",
    "beam_time",
    "combined",
    "complexity",
    "rest_to_rest_s",
    "sweep",
]
