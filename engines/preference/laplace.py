"""Bayes' rule for choices with a Gaussian before and a Gaussian after (Laplace's approximation).

The mode is found by Newton's method with halved steps; the precision after is the precision before plus the observed
information at the mode (Bishop, Pattern Recognition and Machine Learning, 2006, section 4.5). Applied to one choice
after another with what came out as the next prior it is assumed-density filtering by Laplace's approximation, as
Spiegelhalter and Lauritzen (Networks 20:579, 1990) update a logistic model on line.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.linalg import LinAlgError
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from engines.errors import EngineError
from engines.preference.choice import Evidence, likelihood

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

MOST_STEPS = 100
DECREMENT = 1e-12
"""Half the squared Newton step in the metric of the second derivative: the distance to the minimum, in units of
log-likelihood (Boyd and Vandenberghe, Convex Optimization, 2004, section 9.5.1)."""
ARMIJO = 1e-4
SMALLEST_STEP = 1e-10


@dataclass(frozen=True, eq=False)
class Gaussian:
    """mean (k,), covariance (k, k), positive definite."""

    mean: Vector
    covariance: Matrix

    @staticmethod
    def independent(mean: Vector, deviation: Vector) -> Gaussian:
        return Gaussian(np.asarray(mean, np.float64), np.diag(np.asarray(deviation, np.float64) ** 2))

    def linear(self, row: Vector) -> tuple[float, float]:
        """(mean, variance) of row · theta."""
        return float(row @ self.mean), float(row @ self.covariance @ row)


def posterior(prior: Gaussian, evidence: Evidence, *, start: Vector | None = None) -> Gaussian:
    """What is believed after the choices. start (k,): where the search begins (the prior's mean).

    Raises EngineError if the covariance is not positive definite, or the search does not end.
    """
    precision = inverse(prior.covariance)
    mode, information = _mode(prior.mean, precision, evidence, prior.mean if start is None else start)
    return Gaussian(mode, inverse(precision + information))


def inverse(matrix: Matrix) -> Matrix:
    """Of a symmetric positive definite matrix; symmetric to the last bit. Raises EngineError."""
    try:
        found = cho_solve(cho_factor(matrix), np.eye(len(matrix)))
    except (LinAlgError, ValueError) as error:
        raise EngineError("a covariance is not positive definite") from error
    return np.asarray(0.5 * (found + found.T), np.float64)


def _mode(mean: Vector, precision: Matrix, evidence: Evidence, start: Vector) -> tuple[Vector, Matrix]:
    """(mode, information of the evidence there)."""

    def cost(theta: Vector, value: float) -> float:
        away = theta - mean
        return 0.5 * float(away @ precision @ away) - value

    theta = np.asarray(start, np.float64)
    sums = likelihood(evidence, theta)
    here = cost(theta, sums.value)
    for _ in range(MOST_STEPS):
        slope = precision @ (theta - mean) - sums.gradient
        try:
            step = cho_solve(cho_factor(precision + sums.information), slope)
        except (LinAlgError, ValueError) as error:
            raise EngineError("the choices make the second derivative singular") from error
        decrement = float(slope @ step)
        if 0.5 * decrement <= DECREMENT * max(1.0, abs(here)):
            return theta, sums.information
        length = 1.0
        while True:
            tried = theta - length * step
            reached = likelihood(evidence, tried)
            there = cost(tried, reached.value)
            if there <= here - ARMIJO * length * decrement or length < SMALLEST_STEP:
                break
            length *= 0.5
        theta, sums, here = tried, reached, there
    raise EngineError(f"the most probable weights were not found in {MOST_STEPS} Newton steps")
