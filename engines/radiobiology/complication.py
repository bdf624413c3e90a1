"""Probability of a complication from one equivalent dose: three published curves.

All take scalars or arrays that broadcast and return float64 between 0 and 1; EngineError for parameters that are not
positive.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr

from engines.errors import EngineError

Values = NDArray[Any]


def lkb_probability(eud_gy: Values | float, td50_gy: Values | float, m: Values | float) -> Values:
    """Lyman-Kutcher-Burman: Phi((EUD - TD50) / (m TD50)), Phi the normal distribution.

    Lyman, Radiat Res 104:S13 (1985), doi 10.2307/3576626; Kutcher and Burman 1989. eud_gy: gEUD with the organ's n."""
    _positive(td50_gy, m)
    td50 = np.asarray(td50_gy)
    return np.asarray(ndtr((np.asarray(eud_gy) - td50) / (np.asarray(m) * td50)), np.float64)


def logistic_probability(dose_gy: Values | float, td50_gy: Values | float, slope_per_gy: Values | float) -> Values:
    """1 / (1 + exp(-b1 (D - TD50))), the form of logistic regression with b0 = -b1 TD50, as in the QUANTEC lung
    report: Marks et al., Int J Radiat Oncol Biol Phys 76(3 Suppl):S70 (2010)."""
    _positive(td50_gy, slope_per_gy)
    return np.asarray(expit(np.asarray(slope_per_gy) * (np.asarray(dose_gy) - np.asarray(td50_gy))), np.float64)


def log_logistic_probability(dose_gy: Values | float, td50_gy: Values | float, exponent: Values | float) -> Values:
    """1 / (1 + (TD50 / D)^k), the logistic curve of the logarithm of dose; 0 at no dose. Used for the human spinal cord
    by Schultheiss, Int J Radiat Oncol Biol Phys 71:1455 (2008)."""
    _positive(td50_gy, exponent)
    dose = np.maximum(np.asarray(dose_gy, np.float64), 1e-12)
    return np.asarray(expit(np.asarray(exponent) * np.log(dose / np.asarray(td50_gy))), np.float64)


def _positive(*parameters: Values | float) -> None:
    for value in parameters:
        numbers = np.asarray(value)
        if not np.all(np.isfinite(numbers)) or float(numbers.min()) <= 0:
            raise EngineError("the parameters of a dose-response curve must be positive and finite")
