"""How far predicted probabilities can be trusted: calibration, discrimination, and the alarm when they no longer
fit. Whether one method is better than another on the same cases."""

from engines.statistics.calibration import (
    Bin,
    Scores,
    bins_of_equal_count,
    expected_calibration_error,
    fit_temperature,
    proper_scores,
)
from engines.statistics.drift import Cusum, threshold_for_rate
from engines.statistics.groups import Estimate, area_under_curve, calibration_in_the_large
from engines.statistics.paired import Paired, paired

__all__ = [
    "Bin",
    "Cusum",
    "Estimate",
    "Paired",
    "Scores",
    "area_under_curve",
    "bins_of_equal_count",
    "calibration_in_the_large",
    "expected_calibration_error",
    "fit_temperature",
    "paired",
    "proper_scores",
    "threshold_for_rate",
]
