"""Which displacements are calculated, and what each counts.

Thirteen by default: in place, and minus and plus on each of the six axes of a rigid displacement. Shifts and turns are
2.5 standard deviations, the distance within which a three-dimensional Gaussian error stays in 90 % of patients (van
Herk et al., Int J Radiat Oncol Biol Phys 47:1121, 2000, whose margin is 2.5 Sigma + 0.7 sigma). With weights
s^2 / (2 a^2) for each of a pair at distance a, and the rest in place, mean and covariance of the scenarios are those of
the Gaussian (sigma points: Julier and Uhlmann, Proc IEEE 92:401, 2004); at 2.5 standard deviations on six axes 0.04 is
left in place.

A random error is another one in each of N fractions. Over the course its mean acts like a systematic error of sigma /
sqrt(N), the rest blurs the dose: Sigma_eff^2 = Sigma^2 + sigma^2 / N, blur variance sigma^2 (1 - 1 / N).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.contracts.robustness import Displacement, ErrorModel, Scenario, Vector3

REACH = 2.5
"""Size of a scenario in standard deviations (van Herk 2000, see above)."""
UNKNOWN = 1.0
"""Size, mm or degree, of a scenario on an axis without any error (chosen: it shows an effect and weighs nothing)."""
AXES = (("left", "right"), ("posterior", "anterior"), ("superior", "inferior"))
"""What plus and minus along x, y, z of LPS are called."""
TURNS = ("left-right axis", "anterior-posterior axis", "superior-inferior axis")

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SetUp:
    """scenarios: in place, then minus and plus of each axis: shifts x, y, z, turns about x, y, z. sigma, amplitude (6,)
    in mm and degrees. blur (3,): variance in mm^2 of what random errors blur the dose by. notes: for the reader."""

    scenarios: tuple[Scenario, ...]
    sigma: Vector
    amplitude: Vector
    blur: Vector
    notes: tuple[str, ...]


def set_up(errors: ErrorModel, fractions: int) -> SetUp:
    """The scenarios of an error model for a course of so many fractions (at least 1)."""
    count = max(1, fractions)
    random2 = np.asarray(errors.random_mm, np.float64) ** 2
    shift = np.sqrt(np.asarray(errors.systematic_mm, np.float64) ** 2 + random2 / count)
    sigma = np.concatenate([shift, np.asarray(errors.rotation_deg, np.float64)])
    asked = np.array([errors.shift_mm] * 3 + [errors.turn_deg] * 3)
    amplitude = np.where(asked > 0, asked, np.where(sigma > 0, REACH * sigma, UNKNOWN))
    blur = random2 * (1 - 1 / count)
    shares = sigma**2 / (2 * amplitude**2)
    notes = []
    if (rest := 1 - 2 * float(shares.sum())) < -1e-9:
        shares, rest = shares / (2 * float(shares.sum())), 0.0
        notes.append(
            "The scenarios are too small for the stated errors: the expected DVHs show less spread than those imply"
        )
    if float((blur / amplitude[:3] ** 2).sum()) > 1:
        notes.append("The shifts are too small to show what random errors blur; they are overstated in the DVHs")
    scenarios = [Scenario("in place", "nominal", Displacement(), max(rest, 0.0))]
    for axis in range(6):
        for side, sign in enumerate((-1.0, 1.0)):
            scenarios.append(_on_axis(axis, sign, amplitude[axis], float(shares[axis]), side))
    return SetUp(tuple(scenarios), sigma, amplitude, blur, tuple(notes))


def _on_axis(axis: int, sign: float, size: float, weight: float, side: int) -> Scenario:
    vector = _unit(axis % 3, float(sign * size))
    if axis < 3:
        towards = AXES[axis][0 if side else 1]
        return Scenario(f"{size:.3g} mm {towards}", "shift", Displacement(shift_mm=vector), weight)
    name = f"{'+' if side else '−'}{size:.3g}° about the {TURNS[axis - 3]}"
    return Scenario(name, "rotation", Displacement(rotation_deg=vector), weight)


def _unit(axis: int, size: float) -> Vector3:
    vector = [0.0, 0.0, 0.0]
    vector[axis] = size
    return vector[0], vector[1], vector[2]


def check_scenarios(setting: SetUp, count: int, seed: int) -> tuple[tuple[Scenario, Vector], ...]:
    """Displacements on all six axes at once, drawn from the error model, with their errors (6,)."""
    drawn = np.random.default_rng(seed).standard_normal((count, 6)) * setting.sigma
    made = []
    for number, x in enumerate(drawn, 1):
        shift, turn = (tuple(round(float(v), 3) for v in part) for part in (x[:3], x[3:]))
        displacement = Displacement((shift[0], shift[1], shift[2]), (turn[0], turn[1], turn[2]))
        made.append((Scenario(f"check {number}", "check", displacement, 0.0), np.array([*shift, *turn])))
    return tuple(made)
