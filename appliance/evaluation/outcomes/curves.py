"""One model on one histogram: the probability with the best parameters, and with every drawn parameter set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.evaluation.outcomes.parameters import ComplicationRow, ControlRow
from engines.radiobiology import (
    DoseHistogram,
    eqd2,
    generalised_eud,
    lkb_probability,
    log_logistic_probability,
    logistic_probability,
    poisson_lq_control,
)

Values = NDArray[Any]

WORKING_DAYS = 5
"""Fractions a week where the overall time is not given: one a day, none at weekends."""


def equivalent_gy(row: ComplicationRow, histogram: DoseHistogram, fractions: int, n: Values | float) -> Values:
    """The dose the curve is read at, Gy: gEUD, mean or hottest volume, as EQD2 where the row asks for it."""
    if row.hottest_cc is not None:
        dose_gy = np.asarray(histogram.hottest_gy(row.hottest_cc))
        return dose_gy if row.alpha_beta_gy is None else eqd2(dose_gy, fractions, row.alpha_beta_gy)
    bins_gy = histogram.dose_gy
    if row.alpha_beta_gy is not None:
        bins_gy = eqd2(bins_gy, fractions, row.alpha_beta_gy)
    return generalised_eud(bins_gy, histogram.share, n)


def complication(
    row: ComplicationRow, histogram: DoseHistogram, fractions: int, drawn: Mapping[str, Values] | None = None
) -> Values:
    """Probability 0..1, scalar or (s,) for drawn parameter sets."""
    given = drawn or {}
    dose_gy = equivalent_gy(row, histogram, fractions, given.get("n", row.n))
    td50_gy = given.get("td50_gy", row.td50_gy)
    if row.m is not None:
        return lkb_probability(dose_gy, td50_gy, given.get("m", row.m))
    if row.slope_per_gy is not None:
        return logistic_probability(dose_gy, td50_gy, given.get("slope_per_gy", row.slope_per_gy))
    return log_logistic_probability(dose_gy, td50_gy, given.get("exponent", row.exponent or 1.0))


def control(
    row: ControlRow,
    histogram: DoseHistogram,
    fractions: int,
    overall_days: float,
    drawn: Mapping[str, Values] | None = None,
) -> Values:
    """Probability 0..1, scalar or (s,) for drawn parameter sets."""
    given = drawn or {}
    grown = np.log(2.0) * max(0.0, overall_days - row.kick_off_days) / given.get("doubling_days", row.doubling_days)
    return poisson_lq_control(
        histogram.dose_gy,
        histogram.share,
        fractions,
        clonogens=given.get("clonogens", row.clonogens),
        alpha_per_gy=given.get("alpha_per_gy", row.alpha_per_gy),
        alpha_beta_gy=given.get("alpha_beta_gy", row.alpha_beta_gy),
        proliferation=grown,
    )


def usual_days(fractions: int) -> int:
    """Days from the first to the last fraction at five a week, begun on a Monday."""
    weeks, rest = divmod(fractions - 1, WORKING_DAYS)
    return 7 * weeks + rest
