"""Factors of the dose-volume band (`engines.dvh_band`) from structures whose true histogram is known.

For every volume of a known histogram there is a shift t at which the model's histogram meets it. The band's low and
high shift are quantiles of these, so that it covers as often as it says; the middle is their median. The noise of
single voxels is the one, of LOCALS, whose three curves have the least pinball loss (Koenker and Bassett, Econometrica
46:33, 1978; with both bounds it is the interval score of Gneiting and Raftery, JASA 102:359, 2007, equation 43, up to a
factor).

Volumes of one structure err together, so the number of structures, not of points, says how well a quantile is known:
levels are moved outwards by (n + 1) / n for n structures, as in split conformal prediction (Lei et al., JASA 113:1094,
2018), which takes them to be exchangeable; those of one patient are not quite. So coverage is to be measured, on
patients that were left out of the fit: `cross_coverage`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.dvh_band import BIN_GY, BandFactors, Spread
from engines.errors import EngineError

Vector = NDArray[np.float64]

LOCALS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Noise of single voxels that is tried, in half-widths (chosen: an 80 % half-width is 1.28 standard deviations, so that
0.78 would leave no shared error at all)."""
SHIFTS = np.linspace(-4.0, 4.0, 33)
"""Shifts that are tabled, in half-widths; between them D(v | t) is taken to be linear."""
FEWEST = 5
"""Patients below which nothing is fitted: a tenth of fewer is nobody."""


@dataclass(frozen=True, eq=False)
class Known:
    """One structure of one patient. reference_gy (m,): its true D(v). table (noise, shift, m): D(v | shift)."""

    patient: int
    reference_gy: Vector
    table: NDArray[np.float64]

    @staticmethod
    def of(spread: Spread, volumes_percent: Vector, reference_gy: Vector, patient: int) -> Known:
        table = [[spread.doses_at(volumes_percent, shift, local) for shift in SHIFTS] for local in LOCALS]
        return Known(patient, np.asarray(reference_gy, np.float64), np.asarray(table))

    def shifts(self, noise: int) -> Vector:
        """(m,) the shift at which the histogram meets the reference; of several, the nearest to 0 (where dose is 0
        whatever the shift). Within SHIFTS."""
        # Tilted by less than a bin, so that a flat stretch has one answer at each end.
        rows = self.table[noise] + 1e-6 * SHIFTS[:, None]
        least, most = (
            [np.interp(gy + end, row, SHIFTS) for gy, row in zip(self.reference_gy, rows.T, strict=True)]
            for end in (-BIN_GY / 2, BIN_GY / 2)
        )
        nearest: Vector = np.minimum(np.maximum(0.0, least), most)
        return nearest

    def curve(self, factors: BandFactors, shift: float) -> Vector:
        """(m,) D(v | shift) with the noise of `factors`, which must be one of LOCALS."""
        rows = self.table[LOCALS.index(factors.local)]
        return np.asarray([np.interp(shift, SHIFTS, row) for row in rows.T])


@dataclass(frozen=True)
class Covered:
    """share: of the points between low and high, 0..1; below, above: of those beyond either; width_gy: mean distance of
    low and high; bias_gy: mean of reference less middle; patients, structures: how many."""

    share: float
    below: float
    above: float
    width_gy: float
    bias_gy: float
    patients: int
    structures: int


def fit_factors(known: Sequence[Known], level: float = 0.8) -> BandFactors:
    """Raises EngineError for fewer than FEWEST patients, or a level outside 0..1."""
    patients = len({one.patient for one in known})
    if patients < FEWEST or not 0.0 < level < 1.0:
        raise EngineError(
            f"a band's factors need {FEWEST} patients and a level between 0 and 1, got {patients}, {level}"
        )
    tail = (1.0 - level) / 2.0
    upper = min(1.0, (1.0 - tail) * (len(known) + 1) / len(known))
    best, least = None, np.inf
    for noise, local in enumerate(LOCALS):
        shifts = np.concatenate([one.shifts(noise) for one in known])
        low, middle, high = (float(t) for t in np.quantile(shifts, (1.0 - upper, 0.5, upper)))
        factors = BandFactors(round(low, 4), round(middle, 4), round(high, 4), local)
        loss = _loss(known, factors, tail)
        if loss < least:
            best, least = factors, loss
    if best is None:
        raise EngineError("no factors of a band fit: doses or half-widths are not finite")
    return best.checked()


def covered(known: Sequence[Known], factors: BandFactors) -> Covered:
    """How the band of `factors` does on structures with a known histogram. A point within half a bin of it counts as
    covered."""
    low, middle, high = (_curves(known, factors, t) for t in (factors.low, factors.middle, factors.high))
    true, slack = np.concatenate([one.reference_gy for one in known]), BIN_GY / 2
    below, above = true < low - slack, true > high + slack
    return Covered(
        share=float(np.mean(~(below | above))),
        below=float(np.mean(below)),
        above=float(np.mean(above)),
        width_gy=float(np.mean(high - low)),
        bias_gy=float(np.mean(true - middle)),
        patients=len({one.patient for one in known}),
        structures=len(known),
    )


def cross_coverage(known: Sequence[Known], level: float = 0.8, folds: int = 5) -> Covered:
    """The same, each patient with factors of patients in other folds only: what a new patient may expect."""
    patients = sorted({one.patient for one in known})
    fold_of = {patient: number % folds for number, patient in enumerate(patients)}
    parts: list[tuple[int, Covered]] = []
    for fold in range(folds):
        rest, here = ([k for k in known if (fold_of[k.patient] == fold) is inside] for inside in (False, True))
        if here:
            parts.append((len(here), covered(here, fit_factors(rest, level))))
    total = sum(count for count, _ in parts)
    share, below, above, width_gy, bias_gy = (
        sum(count * float(getattr(part, name)) for count, part in parts) / total
        for name in ("share", "below", "above", "width_gy", "bias_gy")
    )
    return Covered(share, below, above, width_gy, bias_gy, patients=len(patients), structures=len(known))


def _curves(known: Sequence[Known], factors: BandFactors, shift: float) -> Vector:
    return np.concatenate([one.curve(factors, shift) for one in known])


def _loss(known: Sequence[Known], factors: BandFactors, tail: float) -> float:
    """Mean pinball loss of the three curves, Gy."""
    true = np.concatenate([one.reference_gy for one in known])
    total = 0.0
    for quantile, shift in ((tail, factors.low), (0.5, factors.middle), (1.0 - tail, factors.high)):
        missed = true - _curves(known, factors, shift)
        total += float(np.mean(np.maximum(quantile * missed, (quantile - 1.0) * missed)))
    return total
