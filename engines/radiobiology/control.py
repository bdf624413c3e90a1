"""Probability that no clonogen survives: Poisson statistics of linear-quadratic cell kill with repopulation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError

Values = NDArray[Any]

LARGEST_EXPONENT = 700.0
"""exp of more overflows a float64; the probability is 0 long before."""


def poisson_lq_control(
    dose_gy: Values,
    share: Values,
    fractions: int,
    *,
    clonogens: Values | float,
    alpha_per_gy: Values | float,
    alpha_beta_gy: Values | float,
    proliferation: Values | float = 0.0,
) -> Values:
    """exp(-sum over bins of K · share · exp(-alpha D (1 + d / (alpha/beta)) + proliferation)).

    dose_gy (b,) total doses of the target's bins, share (b,) their parts of the volume; `clonogens` K in the whole
    target, spread evenly (a density times the volume, or a total). proliferation: ln 2 (T - Tk) / Td, the logarithm of
    how often clonogens multiply during treatment, at least 0. Parameters are scalars or (s,) for s parameter sets, and
    so is the result. Webb and Nahum, Phys Med Biol 38:653 (1993), doi 10.1088/0031-9155/38/6/001, for an inhomogeneous
    dose; repopulation as in Fowler, Br J Radiol 62:679 (1989). Raises EngineError for parameters that are not positive.
    """
    sets = np.broadcast_arrays(*(np.asarray(v, np.float64) for v in (clonogens, alpha_per_gy, alpha_beta_gy)))
    if fractions < 1 or any(float(values.min()) <= 0 for values in sets):
        raise EngineError("fractions, clonogens, alpha and alpha/beta must be positive")
    count, alpha, ratio = (values[..., None] for values in sets)
    kill = alpha * dose_gy * (1 + dose_gy / (fractions * ratio)) - np.asarray(proliferation)[..., None]
    logs = np.log(count) + np.log(np.maximum(share, 1e-30)) - kill
    surviving = np.exp(np.minimum(logs, LARGEST_EXPONENT)).sum(axis=-1)
    return np.asarray(np.exp(-np.minimum(surviving, LARGEST_EXPONENT)), np.float64)
