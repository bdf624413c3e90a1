"""From a goal's values in the scenarios to its chance of being kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import ClinicalGoal, Comparator
from appliance.contracts.robustness import ErrorModel, GoalRobustness, Scenario
from appliance.evaluation.robustness.metrics import NODE, Measured
from appliance.evaluation.robustness.scenarios import SetUp
from engines.robustness import Response, chance, expected

SET_UP = 6
GROUPS = (
    ("set-up", slice(0, 3)),
    ("rotation", slice(3, 6)),
    ("dose calculation", slice(6, 7)),
    ("contour", slice(7, 8)),
)
SAMPLING = 1.96
"""Standard errors of the Monte Carlo estimate in the interval (95 %)."""


@dataclass(frozen=True, eq=False)
class Axes:
    """checked: errors (6,) of each check scenario, in the order in which they follow the scenarios of `setting`."""

    setting: SetUp
    checked: tuple[NDArray[np.float64], ...]
    errors: ErrorModel


def judged(
    goal: ClinicalGoal,
    measured: Measured,
    scenarios: tuple[Scenario, ...],
    axes: Axes,
    moved: Sequence[tuple[float, float] | None],
) -> GoalRobustness:
    """moved: of each motion of the error model the goal's values at its two ends; None: of another structure."""
    count, errors = len(axes.setting.scenarios), axes.errors
    surface = _surface(measured, axes)
    error = _surface_error(surface, measured, axes)
    is_most = goal.comparator is Comparator.AT_MOST
    keep = {"at_most": is_most, "draws": errors.draws, "seed": errors.seed}
    met, sampling = chance(surface, goal.limit, **keep)  # type: ignore[arg-type]
    harder, easier = (goal.limit - error, goal.limit + error) if is_most else (goal.limit + error, goal.limit - error)
    low, _ = chance(surface, harder, **keep)  # type: ignore[arg-type]
    high, _ = chance(surface, easier, **keep)  # type: ignore[arg-type]
    ends = [value for pair in moved for value in (pair or (measured.nominal, measured.nominal))]
    tried = [*measured.scenarios[:count], *ends]
    names = [scenario.name for scenario in scenarios[:count]]
    names += [
        f"motion {number // 2 + 1}, {'one end' if number % 2 == 0 else 'other end'}" for number in range(len(ends))
    ]
    worst = int(np.argmax(tried) if is_most else np.argmin(tried))
    variance = surface.variance_parts()
    total = float(variance.sum())
    return GoalRobustness(
        structure=goal.structure,
        metric=str(goal.metric),
        comparator=goal.comparator.value,
        limit=goal.limit,
        unit=goal.unit,
        nominal=measured.nominal,
        values=tuple(float(v) for v in (*measured.scenarios, *ends)),
        worst=float(tried[worst]),
        worst_scenario=names[worst],
        expected=max(expected(surface), 0.0),
        deviation=float(np.sqrt(total)),
        chance_met=met,
        chance_low=max(0.0, min(low, met) - SAMPLING * sampling),
        chance_high=min(1.0, max(high, met) + SAMPLING * sampling),
        surface_error=error,
        dose_band=measured.dose,
        contour_band=measured.contour,
        parts=tuple((name, 100.0 * float(variance[part].sum()) / total if total else 0.0) for name, part in GROUPS),
        on_planning_volume=goal.structure.startswith("PTV"),
    )


def _surface(measured: Measured, axes: Axes) -> Response:
    """Axes: three shifts, three turns, the dose's scale, the contour. Dose and contour are in standard deviations."""
    setting, errors = axes.setting, axes.errors
    centre = float(measured.scenarios[0])
    minus, plus = (measured.scenarios[start : 1 + 2 * SET_UP : 2] for start in (1, 2))
    # Dose and contour were tried on the plan's own dose; only what they change is carried over.
    beside = np.array([measured.dose, measured.contour]) - measured.nominal + centre
    return Response(
        nominal=centre,
        minus=np.concatenate([minus, beside[:, 0]]),
        plus=np.concatenate([plus, beside[:, 1]]),
        amplitude=np.concatenate([setting.amplitude, [NODE, NODE]]),
        sigma=np.concatenate([setting.sigma, [float(errors.dose_percent > 0), float(errors.contour_mm > 0)]]),
    )


def _surface_error(surface: Response, measured: Measured, axes: Axes) -> float:
    """Root mean square of calculated less estimated values at the check scenarios; 0 without any."""
    if not axes.checked:
        return 0.0
    errors = np.zeros((len(axes.checked), surface.sigma.size))
    errors[:, :SET_UP] = axes.checked
    calculated = measured.scenarios[len(axes.setting.scenarios) :]
    return float(np.sqrt(np.mean((calculated - np.maximum(surface.at(errors), 0.0)) ** 2)))
