"""From a few scenarios to the distribution of a metric under Gaussian errors: a second-order response surface.

Along each axis i of error (a shift, a turn, the dose's scale, the contour) the metric is known in the nominal case and
at -a_i and +a_i. A parabola through the three points gives slope g_i and curvature h_i; axes are taken as additive,

    f(x) = f_0 + sum_i (g_i x_i + h_i x_i^2 / 2),   x_i ~ N(0, sigma_i^2) independent,

which is the response surface of Box and Wilson (J R Stat Soc B 13:1, 1951) without cross terms; Perko et al. (Phys Med
Biol 61:4646, 2016) use such expansions for doses under set-up errors. What cross terms and higher orders are worth is
measured at check points off the axes, not assumed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Response:
    """nominal, and per axis (n,) the metric at -amplitude and +amplitude, in the metric's unit; amplitude and sigma
    (n,) in the axis's unit. An axis with sigma 0 does not count."""

    nominal: float
    minus: Vector
    plus: Vector
    amplitude: Vector
    sigma: Vector

    @property
    def slope(self) -> Vector:
        return np.asarray((self.plus - self.minus) / (2 * self.amplitude))

    @property
    def curvature(self) -> Vector:
        return np.asarray((self.plus + self.minus - 2 * self.nominal) / self.amplitude**2)

    def at(self, errors: NDArray[np.floating]) -> Vector:
        """Values (k,) at errors (k, n)."""
        x = np.asarray(errors, np.float64)
        return np.asarray(self.nominal + x @ self.slope + 0.5 * (x * x) @ self.curvature)

    def variance_parts(self) -> Vector:
        """What each axis adds to the variance: g^2 s^2 + h^2 s^4 / 2, exact (moments of a Gaussian)."""
        s2 = self.sigma**2
        return np.asarray(self.slope**2 * s2 + 0.5 * self.curvature**2 * s2**2)


def expected(response: Response) -> float:
    """Mean of the metric: f_0 + sum h_i sigma_i^2 / 2, exact for the surface."""
    return float(response.nominal + 0.5 * response.curvature @ response.sigma**2)


def chance(
    response: Response, limit: float, *, at_most: bool, draws: int, seed: int, floor: float = 0.0
) -> tuple[float, float]:
    """(probability that the metric keeps `limit`, standard error of that Monte Carlo estimate).

    Antithetic draws (x and -x), so that the mean of linear parts is exact; the error is that of the independent pairs.
    floor: metrics are not below it (doses and volumes are not negative)."""
    half = np.random.default_rng(seed).standard_normal((max(1, draws // 2), response.sigma.size)) * response.sigma
    kept = np.stack([_kept(response.at(x), limit, at_most, floor) for x in (half, -half)])
    pairs = kept.mean(axis=0)
    return float(pairs.mean()), float(pairs.std() / np.sqrt(pairs.size))


def _kept(values: Vector, limit: float, at_most: bool, floor: float) -> Vector:
    bounded = np.maximum(values, floor)
    return np.asarray(bounded <= limit if at_most else bounded >= limit, np.float64)
