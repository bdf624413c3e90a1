"""Peaks of tissue in the histogram of an image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from engines.errors import EngineError

Numbers = NDArray[np.integer] | NDArray[np.floating]

BIN = 4.0
"""Width of a histogram's bin, HU (chosen: finer than any peak of tissue is broad)."""

SMOOTHING_BINS = 4.0
"""Standard deviation that a histogram is smoothed with (chosen: 16 HU, what noise does to a peak anyway)."""

SOFT_HU = (-200.0, 250.0)
"""Fat, muscle and organs lie between (ICRU 44 tissues at 120 kV: adipose about -100, muscle 50, blood 60), with room
for an image that is calibrated badly."""

MUSCLE_HU = (-30.0, 140.0)
"""Where the peak of muscle and organs is looked for in an image that is calibrated."""

FEWEST = 200
"""Voxels without which there is no peak (chosen)."""


def soft_peak(hu: Numbers, where: NDArray[np.bool_], between_hu: tuple[float, float] = MUSCLE_HU) -> float:
    """HU at the highest peak of the voxels `where` within the range. Raises EngineError for too few voxels."""
    values = hu[where]
    values = values[(values > between_hu[0]) & (values < between_hu[1])]
    if values.size < FEWEST:
        raise EngineError("there is too little soft tissue on the image")
    return mode(values)


def mode(values: Numbers, bin_width: float = BIN) -> float:
    """The most frequent value, from a smoothed histogram."""
    low = float(values.min())
    edges = np.arange(low, float(values.max()) + 2 * bin_width, bin_width)
    counts, edges = np.histogram(values, edges)
    smooth = gaussian_filter1d(counts.astype(np.float64), SMOOTHING_BINS, mode="constant")
    return float(edges[int(smooth.argmax())] + bin_width / 2)


def two_groups(values: Numbers) -> float:
    """The threshold that parts values into two groups best (Otsu, IEEE Trans Syst Man Cybern 9:62, 1979)."""
    counts, edges = np.histogram(values, 256)
    middle = (edges[:-1] + edges[1:]) / 2
    below, total = np.cumsum(counts), counts.sum()
    mass = np.cumsum(counts * middle)
    above = total - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (mass / below - (mass[-1] - mass) / above) ** 2
    return float(edges[1 + int(np.nanargmax(between))])
