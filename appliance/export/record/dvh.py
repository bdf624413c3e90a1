"""Curves of the record's small dose-volume histogram, in parts of its width and height."""

from __future__ import annotations

from appliance.contracts import DvhCurve
from appliance.contracts.band import BandCurve

MOST_POINTS = 160
"""Chosen: more than a printed plot 80 mm wide can show."""
STEPS_GY = (1, 2, 5, 10, 20, 50)
MOST_TICKS = 9


def polyline(curve: DvhCurve, end_gy: float) -> list[tuple[float, float]]:
    """(dose / end_gy, volume / 100 %) along the curve, thinned."""
    step = max(1, len(curve.dose_gy) // MOST_POINTS)
    pairs = list(zip(curve.dose_gy, curve.volume_percent, strict=True))
    return [(min(1.0, gy / end_gy), percent / 100.0) for gy, percent in [*pairs[::step], pairs[-1]]]


def band_outline(curve: BandCurve, end_gy: float) -> list[tuple[float, float]]:
    """(dose / end_gy, volume / 100 %) down the low side and up the high one."""
    low, high = (
        [(min(1.0, gy / end_gy), percent / 100.0) for percent, gy in zip(curve.volume_percent, side, strict=True)]
        for side in (curve.low_gy, curve.high_gy)
    )
    return [*low, *reversed(high)]


def ticks(end_gy: float) -> list[float]:
    """Round doses along the axis."""
    step = next((step for step in STEPS_GY if end_gy / step <= MOST_TICKS), STEPS_GY[-1])
    return [float(step * number) for number in range(1, int(end_gy / step) + 1)]
