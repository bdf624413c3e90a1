"""The band around an estimate: what the uncertainty of its parameters, as published, does to the probability.

400 parameter sets a model by Latin hypercube, two half normals through each published 95 % interval, the same sets
whatever the plan (the seed is the model's id), so that two plans are compared with common parameters. Parameters are
drawn independently, because papers do not publish their correlation: the band is too wide rather than too narrow. It
holds neither the model's own error nor what differs between patients and contours.
"""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from appliance.evaluation.outcomes.parameters import ComplicationRow, ControlRow, Row
from engines.radiobiology import latin_hypercube, two_piece_normal

SAMPLES = 400
"""Chosen: the ends of the 95 % band then move by some 5 % of its width between seeds."""

SMALLEST_SHARE = 0.02
"""No drawn parameter falls below this share of its estimate: all are positive by their meaning (chosen)."""

NO_BAND = "no band: the source, as far as it could be checked, gives no uncertainty of the parameters"
BAND = (
    "95 % band from the published {kind} of {names}, {samples} Latin-hypercube parameter sets, drawn independently; "
    "{fixed}"
)

Floats = NDArray[np.float64]


def band_words(row: Row) -> str:
    """How the band of this model is made, or why there is none."""
    uncertain = _uncertain(row)
    if not uncertain:
        return NO_BAND
    kind = "95 % confidence intervals" if row.ci95 else "standard errors"
    if isinstance(row, ControlRow):
        kind += " and range of clonogens"
    certain = [name for name in _parameters(row) if name not in uncertain]
    fixed = f"{', '.join(certain)} fixed, their uncertainty is not published" if certain else "all parameters vary"
    return BAND.format(kind=kind, names=", ".join(uncertain), samples=SAMPLES, fixed=fixed)


def parameter_sets(row: Row) -> dict[str, Floats] | None:
    """Every uncertain parameter's (SAMPLES,) values by name, None where nothing is known of any uncertainty."""
    uncertain = _uncertain(row)
    if not uncertain:
        return None
    quantiles = latin_hypercube(SAMPLES, len(uncertain), zlib.crc32(row.id.encode()))
    drawn: dict[str, Floats] = {}
    for column, name in enumerate(uncertain):
        if isinstance(row, ControlRow) and name == "clonogens":
            low, high = np.log(row.clonogens_range)
            drawn[name] = np.exp(low + (high - low) * quantiles[:, column])
            continue
        best = float(getattr(row, name))
        values = two_piece_normal(quantiles[:, column], best, *row.intervals[name])
        drawn[name] = np.maximum(values, SMALLEST_SHARE * best)
    return drawn


def band_of(values: Floats) -> tuple[float, float]:
    """The 2.5 and 97.5 % points."""
    low, high = np.percentile(values, (2.5, 97.5))
    return float(low), float(high)


def _parameters(row: Row) -> tuple[str, ...]:
    if isinstance(row, ComplicationRow):
        steepness = {"lkb": "m", "logistic": "slope_per_gy", "log-logistic": "exponent"}[row.model]
        return ("td50_gy", steepness, *(("n",) if row.model == "lkb" else ()))
    return ("alpha_per_gy", "alpha_beta_gy", "clonogens", "doubling_days")


def _uncertain(row: Row) -> tuple[str, ...]:
    known = set(row.intervals) | ({"clonogens"} if isinstance(row, ControlRow) else set())
    return tuple(name for name in _parameters(row) if name in known)
