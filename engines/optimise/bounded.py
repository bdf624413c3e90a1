"""A bounded quasi-Newton minimiser: warm-startable, monotone in the value it reports, and never stops in silence.

Limited-memory BFGS on the free variables with a projected line search (two-metric projection, Bertsekas, SIAM J
Control Optim 20:221, 1982; L-BFGS two-loop recursion, Nocedal, Math Comp 35:773, 1980).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError

Vector = NDArray[np.float64]
Function = Callable[[Vector], tuple[float, Vector]]

MEMORY = 12
"""Pairs kept (chosen: 5 to 20 are usual; 12 was as good as 20 on the built-in cases)."""
ARMIJO = 1e-4
SHRINK_MIN, SHRINK_MAX = 0.1, 0.5
MAX_BACKTRACKS = 12
STALL_WINDOW = 8
"""Iterations over which the relative decrease is judged."""


@dataclass(frozen=True)
class Outcome:
    """x: the best point. values: merit after each iteration, never rising. reason: why it stopped, in words;
    `converged` says whether that was a criterion of optimality rather than the budget."""

    x: Vector
    value: float
    values: tuple[float, ...]
    evaluations: int
    reason: str
    converged: bool


def minimise(
    function: Function,
    start: NDArray[np.floating],
    *,
    lower: NDArray[np.floating] | float = 0.0,
    upper: NDArray[np.floating] | float = np.inf,
    tolerance: float = 1e-3,
    scale: float = 0.0,
    budget: int = 200,
    on_iteration: Callable[[int, float], None] | None = None,
) -> Outcome:
    """Minimises within bounds from `start`, which is projected first.

    Stops when the value fell by less than `tolerance` (relative to itself, or to `scale` where that is larger, so that
    a merit near zero need not be polished) over STALL_WINDOW iterations, when no descent is left, or when `budget`
    evaluations are used; `Outcome.reason` says which. Raises EngineError if the function or its
    gradient is not finite at the start; later points where it is not are not taken.
    """
    low = np.broadcast_to(np.asarray(lower, np.float64), np.shape(start))
    high = np.broadcast_to(np.asarray(upper, np.float64), np.shape(start))
    x: Vector = np.clip(np.asarray(start, np.float64), low, high)
    value, gradient = function(x)
    if not _finite(value, gradient):
        raise EngineError("the merit or its gradient is not finite at the starting point")
    evaluations, values = 1, [value]
    pairs: deque[tuple[Vector, Vector, float]] = deque(maxlen=MEMORY)
    while True:
        free = ~(((x <= low) & (gradient > 0)) | ((x >= high) & (gradient < 0)))
        if not free.any() or float(np.abs(gradient[free]).max()) == 0.0:
            return Outcome(x, value, tuple(values), evaluations, "no descent left within the bounds", True)
        direction = _direction(gradient, free, pairs)
        left = budget - evaluations
        step, used = _line_search(
            function, _Point(x, value, gradient), direction, low, high, budget=left, curved=bool(pairs)
        )
        evaluations += used
        if step is None:
            if evaluations >= budget:
                return Outcome(x, value, tuple(values), evaluations, f"budget of {budget} evaluations used", False)
            if pairs:  # a stale curvature model: begin again from the plain gradient before giving up
                pairs.clear()
                continue
            return Outcome(x, value, tuple(values), evaluations, "no further decrease along the gradient", True)
        moved, turned = step.x - x, step.gradient - gradient
        curvature = float(moved @ turned)
        if curvature > 1e-12 * float(np.linalg.norm(moved) * np.linalg.norm(turned)):
            pairs.append((moved, turned, 1.0 / curvature))
        x, value, gradient = step.x, step.value, step.gradient
        values.append(value)
        if on_iteration is not None:
            on_iteration(len(values) - 1, value)
        if len(values) > STALL_WINDOW and values[-1 - STALL_WINDOW] - value <= tolerance * max(
            abs(values[-1 - STALL_WINDOW]), scale
        ):
            reason = f"merit fell by less than {tolerance:g} (relative) over {STALL_WINDOW} iterations"
            return Outcome(x, value, tuple(values), evaluations, reason, True)
        if evaluations >= budget:
            return Outcome(x, value, tuple(values), evaluations, f"budget of {budget} evaluations used", False)


def _direction(gradient: Vector, free: NDArray[np.bool_], pairs: deque[tuple[Vector, Vector, float]]) -> Vector:
    """Two-loop recursion restricted to the free variables; steepest descent where it would not descend."""
    q = np.where(free, gradient, 0.0)
    plain = -q
    if not pairs:
        return plain
    alphas = []
    for s, y, rho in reversed(pairs):
        alpha = rho * float(s @ q)
        q = q - alpha * np.where(free, y, 0.0)
        alphas.append(alpha)
    s, y, _ = pairs[-1]
    q = q * (float(s @ y) / float(y @ y))
    for (s, y, rho), alpha in zip(pairs, reversed(alphas), strict=True):
        q = q + (alpha - rho * float(y @ q)) * np.where(free, s, 0.0)
    direction = np.where(free, -q, 0.0)
    return direction if float(direction @ gradient) < 0 else plain


def _finite(value: float, gradient: Vector) -> bool:
    return bool(np.isfinite(value) and np.isfinite(gradient).all())


@dataclass(frozen=True)
class _Point:
    x: Vector
    value: float
    gradient: Vector


def _line_search(
    function: Function, now: _Point, direction: Vector, low: Vector, high: Vector, *, budget: int, curved: bool
) -> tuple[_Point | None, int]:
    """Backtracking along the projected path until the Armijo condition holds; quadratic interpolation between."""
    # Without curvature information the first step is bounded so that no variable moves far beyond its own size.
    alpha = 1.0 if curved else max(1e-3, float(np.abs(now.x).mean())) / float(np.abs(direction).max())
    used = 0
    for _ in range(min(MAX_BACKTRACKS, budget)):
        x = np.clip(now.x + alpha * direction, low, high)
        slope = float(now.gradient @ (x - now.x))
        if slope >= 0:
            break
        value, gradient = function(x)
        used += 1
        usable = _finite(value, gradient)
        if usable and value <= now.value + ARMIJO * slope:
            return _Point(x, value, gradient), used
        curvature = value - now.value - slope if usable else 0.0
        shrink = -slope / (2 * curvature) if curvature > 0 else SHRINK_MIN
        alpha *= min(max(shrink, SHRINK_MIN), SHRINK_MAX)
    return None, used
