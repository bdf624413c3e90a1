"""Leaf paths of moving fields and their limits as arrays, and back, to the bit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.planning.leaf_paths import PathLimits
from appliance.planning.moving_field import FieldLimits, MovingField
from appliance.planning.moving_vector import FieldPath


def arrays_of(paths: tuple[FieldPath, ...], limits: tuple[FieldLimits, ...]) -> dict[str, NDArray[Any]]:
    """left_mm_N, right_mm_N, mu_N of field N; limits (fields, 10): gap, travel, both windows, span, whether leaves may
    interdigitate, least and most MU."""
    arrays: dict[str, NDArray[Any]] = {}
    for number, path in enumerate(paths):
        arrays |= {f"left_mm_{number}": path.left_mm, f"right_mm_{number}": path.right_mm, f"mu_{number}": path.mu}
    arrays["limits"] = np.asarray(
        [
            (
                *(one.paths.gap_mm, one.paths.travel_mm, *one.paths.window_a_mm, *one.paths.window_b_mm),
                *(one.paths.span_mm, float(one.paths.interdigitation), one.least_mu, one.most_mu),
            )
            for one in limits
        ],
        np.float64,
    )
    return arrays


def from_arrays(
    fields: tuple[MovingField, ...], arrays: Mapping[str, NDArray[Any]]
) -> tuple[tuple[FieldPath, ...], tuple[FieldLimits, ...]]:
    """Raises KeyError or ValueError for arrays of other fields."""
    rows = arrays["limits"]
    paths, limits = [], []
    for number, (field, row) in enumerate(zip(fields, rows, strict=True)):
        path = FieldPath(arrays[f"left_mm_{number}"], arrays[f"right_mm_{number}"], arrays[f"mu_{number}"])
        if path.left_mm.shape != (field.intervals + 1, field.active.size) or path.mu.shape != (field.intervals,):
            raise ValueError("leaf paths of another field")
        gap, travel, a0, a1, b0, b1, span, passes, least, most = (float(value) for value in row)
        kept = PathLimits(gap, travel, (a0, a1), (b0, b1), span, field.layers, bool(passes))
        paths.append(path)
        limits.append(FieldLimits(kept, least, most))
    return tuple(paths), tuple(limits)
