"""Values of an image that nobody calibrated made Hounsfield units, by another image of the same patient."""

from engines.calibration.body import body_of
from engines.calibration.curve import Calibration, matched, rough
from engines.calibration.field_of_view import circle_seen, filling_of
from engines.calibration.peaks import soft_peak
from engines.calibration.shading import flattened
from engines.calibration.today import deformed_with_today

__all__ = [
    "Calibration",
    "body_of",
    "circle_seen",
    "deformed_with_today",
    "filling_of",
    "flattened",
    "matched",
    "rough",
    "soft_peak",
]
