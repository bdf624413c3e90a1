"""What the network sees of one arc, and what its answer means. Needs no PyTorch.

An arc is a map over control points and the leaf pairs in use. Every channel is without unit and of the order of one,
and keeps its sense when the field is mirrored (`MIRROR`)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from appliance.planning.moving_vector import LEAF_UNIT_MM, FieldPath

Map = NDArray[np.float32]

LENGTH_MM = 50.0
STEP_MM = 10.0
"""One unit of the answer for leaves."""
MOST_STEP_MM, MOST_LOG_MU = 40.0, 2.0
"""No answer goes further in one step (chosen: leaves of the first recorded arc moved by 20 mm between its start and its
end, root mean square, and the logarithm of its metersets by 1.4)."""
CHANNELS = (
    "left", "right", "by_left", "by_right", "to_left_window", "to_right_window",
    "mu_before", "mu_after", "by_mu_before", "by_mu_after", "width", "closed", "merit",
    "way_left", "way_right", "way_mu_before", "way_mu_after", "length",
)  # fmt: skip
SWAPPED = (
    ("left", "right"), ("by_left", "by_right"), ("to_left_window", "to_right_window"),
    ("way_left", "way_right"),
)  # fmt: skip
SIGNED = ("left", "right", "by_left", "by_right", "way_left", "way_right")
"""Channels that change their sign where left becomes right."""
CLOSED_MM = 2.0


def mirror() -> tuple[list[int], NDArray[np.float32]]:
    """(which channel each one comes from, its sign) when left and right are exchanged."""
    order, signs = list(range(len(CHANNELS))), np.ones(len(CHANNELS), np.float32)
    for pair in SWAPPED:
        a, b = (CHANNELS.index(name) for name in pair)
        order[a], order[b] = b, a
    for name in SIGNED:
        signs[CHANNELS.index(name)] = -1.0
    return order, signs


def features(path: FieldPath, slope: FieldPath, window_mm: NDArray[np.float64], merit: float) -> Map:
    """(channels, points, pairs) of the pairs in use. window_mm (2, 2): where leaves of both banks may stand."""
    left, right, mu = path.left_mm, path.right_mm, path.mu
    mu_now, by_mu = mu / mu.mean() - 1.0, _squeezed(slope.mu * mu)
    by_left, by_right = _squeezed(np.stack([slope.left_mm, slope.right_mm]))
    way, length = way_down(path, slope, merit)
    way_mu = np.arcsinh(way.mu)
    middle, pairs = 0.5 * (window_mm[0, 0] + window_mm[1, 1]), left.shape[1]
    named = {
        "left": (left - middle) / LENGTH_MM,
        "right": (right - middle) / LENGTH_MM,
        "by_left": by_left,
        "by_right": by_right,
        "to_left_window": (left - window_mm[0, 0]) / LENGTH_MM,
        "to_right_window": (window_mm[1, 1] - right) / LENGTH_MM,
        "mu_before": _along(np.insert(mu_now, 0, 0.0), pairs),
        "mu_after": _along(np.append(mu_now, 0.0), pairs),
        "by_mu_before": _along(np.insert(by_mu, 0, 0.0), pairs),
        "by_mu_after": _along(np.append(by_mu, 0.0), pairs),
        "width": (right - left) / LENGTH_MM,
        "closed": (right - left < CLOSED_MM).astype(np.float64),
        "merit": np.full_like(left, np.log10(max(merit, 1e-3)) - 1.0),
        "way_left": np.arcsinh(way.left_mm / STEP_MM),
        "way_right": np.arcsinh(way.right_mm / STEP_MM),
        "way_mu_before": _along(np.insert(way_mu, 0, 0.0), pairs),
        "way_mu_after": _along(np.append(way_mu, 0.0), pairs),
        "length": np.full_like(left, np.log10(max(length, 1e-6))),
    }
    return np.stack([named[name] for name in CHANNELS]).astype(np.float32)


def way_down(path: FieldPath, slope: FieldPath, merit: float) -> tuple[FieldPath, float]:
    """The step down the slope that would bring the merit to nothing if it fell on a straight line, times the root of
    how many variables there are (Polyak's step, so lengthened that one leaf's is of the order of what it moves), with
    leaves in mm and metersets in their logarithm; and the root mean square of it in the units of `LEAF_UNIT_MM`."""
    by_left, by_right, by_mu = slope.left_mm * LEAF_UNIT_MM, slope.right_mm * LEAF_UNIT_MM, slope.mu * path.mu
    square = float((by_left**2).sum() + (by_right**2).sum() + (by_mu**2).sum())
    if square <= 0:
        return FieldPath(0.0 * by_left, 0.0 * by_right, 0.0 * by_mu), 0.0
    factor = -merit / square * np.sqrt(by_left.size)
    way = FieldPath(factor * by_left * LEAF_UNIT_MM, factor * by_right * LEAF_UNIT_MM, factor * by_mu)
    return way, merit / np.sqrt(square)


def _squeezed(slope: NDArray[np.float64]) -> NDArray[np.float64]:
    """In units of the root mean square, large ones drawn in: slopes of one arc differ by powers of ten."""
    rms = float(np.sqrt((slope * slope).mean()))
    return np.asarray(np.arcsinh(slope / rms) if rms > 0 else slope, np.float64)


def _along(values: NDArray[np.float64], pairs: int) -> NDArray[np.float64]:
    return np.repeat(values[:, None], pairs, axis=1)


def answer(path: FieldPath, target: FieldPath) -> tuple[Map, Map]:
    """What would lead from `path` to `target`: leaves (2, points, pairs) in STEP_MM, log of metersets (intervals,)."""
    leaves = np.stack([target.left_mm - path.left_mm, target.right_mm - path.right_mm]) / STEP_MM
    log_mu = np.log(target.mu / path.mu)
    return leaves.astype(np.float32), log_mu.astype(np.float32)


def moved(path: FieldPath, leaves: Map, log_mu: Map, share: float = 1.0) -> FieldPath:
    """The other way round, with a share of the step; not legal yet."""
    way = share * np.clip(leaves.astype(np.float64) * STEP_MM, -MOST_STEP_MM, MOST_STEP_MM)
    factor = np.exp(share * np.clip(log_mu.astype(np.float64), -MOST_LOG_MU, MOST_LOG_MU))
    return FieldPath(path.left_mm + way[0], path.right_mm + way[1], path.mu * factor)
