"""A curve from the values of an image to HU, and how it is found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter

from engines.calibration.peaks import Numbers, mode, two_groups
from engines.errors import EngineError

AIR_HU, LOWEST_HU, HIGHEST_HU = -1000.0, -1024.0, 3071.0
"""Air by definition of the HU; the ends of the 12-bit range of CT values."""

FLAT_HU = 60.0
"""Largest range of the reference in a voxel's neighbourhood (3 x 3 x 3) that pairs are taken from (chosen: beyond it a
millimetre of misregistration pairs one tissue with another)."""

FEWEST_PAIRS = 100
"""Of one tissue, without which it makes no point of the curve (chosen)."""

TABLE_FROM = 100_000
"""Stored values from which every value's HU is looked up and not calculated (chosen: there are 65,536 at most)."""

LEAST_STEP = 20.0
"""Two points of a curve lie at least this far apart in HU (chosen: closer ones fit noise)."""

LEAST_APART = 300.0
"""Values between air and soft tissue, below which the two peaks are of other things (chosen: 1000 HU on a scale that is
off by a factor of three; fat and muscle, which part an image without air, are 150 HU apart)."""


class Tissue(NamedTuple):
    """A tissue of the reference by its HU, lower and upper end."""

    name: str
    low_hu: float
    high_hu: float
    may_vary: bool = False


TISSUES = (
    Tissue("air", -1100.0, -900.0),
    Tissue("fat", -140.0, -60.0),
    Tissue("muscle and organs", 10.0, 90.0),
    Tissue("spongy bone", 150.0, 350.0, may_vary=True),
    Tissue("dense bone", 400.0, 1200.0, may_vary=True),
)
"""Ranges chosen round ICRU 44 tissues at 120 kV. may_vary: hardly ever flat in a neighbourhood, so pairs are taken
wherever the reference lies in the range. Not lung: most of what has its HU is the rim of something else, and a point
made of that spoils every cavity (docs/decisions.md)."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """points (n, 2): values of the image and their HU, both rising, n at least 2. Between points straight lines, beyond
    the first and last the line of the two next to it."""

    points: NDArray[np.float64]

    def __post_init__(self) -> None:
        shape = self.points.shape
        if len(shape) != 2 or shape[1] != 2 or shape[0] < 2 or not np.all(np.diff(self.points, axis=0) > 0):
            raise EngineError("a calibration needs two points or more with values and HU that rise")

    def hu(self, values: Numbers) -> NDArray[np.float32]:
        """HU of values of any shape, within the range of CT values."""
        if values.dtype == np.int16 and values.size > TABLE_FROM:
            least, most = int(values.min()), int(values.max())
            return np.asarray(self.hu(np.arange(least, most + 1, dtype=np.float64))[values.astype(np.int32) - least])
        at, to = self.points[:, 0], self.points[:, 1]
        low, high = float(at[0] - 1e5), float(at[-1] + 1e5)
        first = to[0] - 1e5 * (to[1] - to[0]) / (at[1] - at[0])
        last = to[-1] + 1e5 * (to[-1] - to[-2]) / (at[-1] - at[-2])
        hu = np.interp(values, np.r_[low, at, high], np.r_[first, to, last])
        return np.asarray(np.clip(hu, LOWEST_HU, HIGHEST_HU), np.float32)


def rough(values: Numbers, soft_hu: float, filling: float | None = None) -> Calibration:
    """By the peaks of air and of soft tissue, without any registration. soft_hu: HU of the second. filling: the value
    of what was not reconstructed, which says nothing (`filling_of`). Raises EngineError if the image has no two groups
    of values as far apart as air and tissue."""
    sample = values.reshape(-1)[:: max(1, values.size // 2_000_000)]
    inner = sample if filling is None else sample[sample != filling]
    if inner.size < FEWEST_PAIRS or inner.min() == inner.max():
        raise EngineError("the image has one value only")
    low, high = np.percentile(inner, (0.1, 99.9))
    inner = inner[(inner >= low) & (inner <= high)]
    limit = two_groups(inner)
    air, tissue = inner[inner < limit], inner[inner >= limit]
    if min(air.size, tissue.size) < FEWEST_PAIRS:
        raise EngineError("the image does not show air and tissue")
    width = max(1.0, float(high - low) / 400)
    thin, soft = mode(air, width), mode(tissue, width)
    if soft - thin < LEAST_APART:
        raise EngineError("the image does not show air and tissue")
    return Calibration(np.array([[thin, AIR_HU], [soft, soft_hu]]))


def matched(
    values: Numbers, reference_hu: NDArray[np.floating], where: NDArray[np.bool_]
) -> tuple[Calibration, tuple[str, ...]]:
    """By the medians of the voxels of each tissue, and the tissues' names.

    values: today's (z, y, x). reference_hu: the reference CT on the same grid, deformed to today. where: voxels that
    count. Points that would not rise are left out, those of tissue that varies first. Raises EngineError without air
    and one tissue more."""
    flat = maximum_filter(reference_hu, 3) - minimum_filter(reference_hu, 3) < FLAT_HU
    found: list[tuple[Tissue, float, float]] = []
    for tissue in TISSUES:
        chosen = where & (reference_hu > tissue.low_hu) & (reference_hu < tissue.high_hu)
        chosen &= flat | tissue.may_vary
        if int(chosen.sum()) >= FEWEST_PAIRS:
            found.append((tissue, float(np.median(values[chosen])), float(np.median(reference_hu[chosen]))))
    kept: list[tuple[Tissue, float, float]] = []
    for entry in sorted(found, key=lambda item: item[0].may_vary):
        if all(
            (entry[1] - other[1]) * (entry[2] - other[2]) > 0 and abs(entry[2] - other[2]) > LEAST_STEP
            for other in kept
        ):
            kept.append(entry)
    kept.sort(key=lambda item: item[2])
    if len(kept) < 2 or kept[0][0].name != "air":
        raise EngineError("too few tissues of the reference are found again")
    return Calibration(np.array([[value, hu] for _, value, hu in kept])), tuple(tissue.name for tissue, *_ in kept)
