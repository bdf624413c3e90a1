"""What leaks through closed leaves, known before there are leaves: the fluence stage trades modulation against it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from appliance.planning.beamlets import Beamlets
from appliance.planning.machine import Machine
from engines.sequencing import monitor_units_of

SEQUENCED_SHARE = 0.9
"""Refined apertures need this share of the estimated MU (measured on an OpenKBP patient: 0.88 to 0.95)."""
TRACKED_SHARE = 0.6
"""Jaws that follow the segments leave open this share of the beam's field, weighed by MU (measured on the same: 0.50 to
0.65); jaws that stand still leave all of it."""


class Leakage:
    """Fluence of beamlet values with leaf transmission: a beamlet adds (1 - t) of its value where it is, and each beam
    t times its estimated MU over its field. Without this the optimum asks for modulation whose leakage alone costs
    organs 2 to 3 Gy of 70."""

    def __init__(self, beamlets: Beamlets, machine: Machine, transmission: float) -> None:
        self._beamlets, self._open = beamlets, np.float32(1.0 - transmission)
        share = TRACKED_SHARE if machine.jaws.tracking else 1.0
        fields = np.stack([_field(beamlets, beam) for beam in range(len(beamlets.cells))])
        self._leak = fields * np.float32(transmission * share * SEQUENCED_SHARE)
        self._place, self._box = beamlets.side_by_side()
        self._beam = self._place // (self._box[1] * self._box[2])
        self._slopes = np.zeros(beamlets.variables)

    def draw(self, values: NDArray[np.float64]) -> NDArray[np.float32]:
        """Fluence (beams, nv, nu) of beamlet values, leakage included."""
        maps = np.zeros(self._box)
        maps.reshape(-1)[self._place] = values
        units, slopes = monitor_units_of(maps)
        self._slopes = slopes.reshape(-1)[self._place]
        fluence = self._beamlets.draw(values)
        fluence *= self._open
        fluence += self._leak * units.astype(np.float32)[:, None, None]
        return fluence

    def collect(self, gradient: NDArray[np.float32]) -> NDArray[np.float64]:
        """Gradient in the values last drawn, from the gradient (beams, nv, nu) in their fluence."""
        by_mu = np.einsum("bvu,bvu->b", self._leak, gradient).astype(np.float64)
        through = self._beamlets.collect(gradient) * float(self._open)
        return np.asarray(through + by_mu[self._beam] * self._slopes, np.float64)


def _field(beamlets: Beamlets, beam: int) -> NDArray[np.float32]:
    """(nv, nu) coverage of the rectangle around a beam's beamlets: what its jaws would leave open."""
    is_open, borders, raster = beamlets.cells[beam] >= 0, beamlets.boundaries_mm, beamlets.raster
    rows, columns = np.flatnonzero(is_open.any(axis=1)), np.flatnonzero(is_open.any(axis=0))
    left, right = ((c - beamlets.columns) * beamlets.width_mm for c in (columns[:1], columns[-1:] + 1))
    along_v = raster.coverage("v", borders[rows[:1]], borders[rows[-1:] + 1])[0]
    return np.asarray(np.outer(along_v, raster.coverage("u", left, right)[0]), np.float32)
