"""How a dose-volume metric moves with displacements, dose errors and contours: arrays in, arrays out."""

from engines.robustness.bands import dvh_family
from engines.robustness.displacement import moved_frame, moved_points, rotation
from engines.robustness.grown import Border
from engines.robustness.response import Response, chance, expected

__all__ = ["Border", "Response", "chance", "dvh_family", "expected", "moved_frame", "moved_points", "rotation"]
