"""Many persons of one clinic: each has weights of his or her own, drawn around the clinic's.

theta_p ~ N(m, diag(s²)), m ~ N(0, diag(v²)). The clinic's mean m and the spreads s are set by what all persons chose:
empirical Bayes by expectation maximisation (Dempster, Laird and Rubin, J R Stat Soc B 39:1, 1977), each person's part
by Laplace's approximation. In each round a person's likelihood is a Gaussian with information H_p at the mode; m
follows in closed form with theta_p integrated out, and

    s_k² = (n0 s0_k² + sum_p ((theta_pk - m_k)² + C_pkk)) / (n0 + persons)

the mode under an inverse-gamma prior worth n0 persons (chosen conjugate; Gelman et al., Bayesian Data Analysis, 2013,
section 2.6), so that three persons do not make a spread of zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.preference.choice import Evidence, likelihood
from engines.preference.laplace import Gaussian, inverse, posterior

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

MOST_ROUNDS = 300
SETTLED = 2e-3
"""Largest change of a mean or spread in one round that counts as none; in units of the prior's deviation."""


@dataclass(frozen=True, eq=False)
class Hyperprior:
    """All (k,): deviation of the clinic's mean around 0, expected spread between persons, and how many persons that
    expectation is worth."""

    deviation: Vector
    spread: Vector
    worth_persons: float


@dataclass(frozen=True, eq=False)
class Population:
    """mean, spread (k,); mean_covariance (k, k): how well the mean is known. persons: each one's posterior, in the
    order given, uncertainty of the clinic's mean included. settled: the rounds ended because nothing changed any
    more."""

    mean: Vector
    spread: Vector
    mean_covariance: Matrix
    persons: tuple[Gaussian, ...]
    rounds: int
    settled: bool

    @property
    def newcomer(self) -> Gaussian:
        """What is believed of somebody of whom nothing is known yet."""
        return Gaussian(self.mean, np.diag(self.spread**2) + self.mean_covariance)


def fit_population(evidences: Sequence[Evidence], hyperprior: Hyperprior) -> Population:
    """evidences: one a person. Raises EngineError if there is none, or their features differ from the hyperprior's."""
    size = len(hyperprior.deviation)
    if not evidences or any(evidence.features != size for evidence in evidences):
        raise EngineError(f"every person's choices need {size} features, and one person at least")
    mean, spread = np.zeros(size), hyperprior.spread.astype(np.float64)
    modes = [mean for _ in evidences]
    rounds, settled, mean_covariance, covariances = 0, False, np.diag(hyperprior.deviation**2), []
    while rounds < MOST_ROUNDS and not settled:
        rounds += 1
        prior = Gaussian.independent(mean, spread)
        fitted = [posterior(prior, one, start=mode) for one, mode in zip(evidences, modes, strict=True)]
        modes, covariances = [one.mean for one in fitted], [one.covariance for one in fitted]
        new_mean, mean_covariance = _clinic(evidences, fitted, hyperprior)
        new_spread = _spread(fitted, new_mean, hyperprior)
        moved = max(
            float(np.max(np.abs(new_mean - mean) / hyperprior.deviation)),
            float(np.max(np.abs(new_spread - spread) / hyperprior.spread)),
        )
        mean, spread, settled = new_mean, new_spread, moved < SETTLED
    persons = tuple(
        Gaussian(mode, covariance + _of_the_mean(covariance, spread, mean_covariance))
        for mode, covariance in zip(modes, covariances, strict=True)
    )
    return Population(mean, spread, mean_covariance, persons, rounds, settled)


def _clinic(evidences: Sequence[Evidence], fitted: Sequence[Gaussian], hyperprior: Hyperprior) -> tuple[Vector, Matrix]:
    """(mean, covariance) of the clinic's mean. With the likelihood of a person as exp(h·theta - theta·H·theta / 2) and
    C the covariance after, integrating theta out of it leaves precision H - H C H and linear term (1 - H C) h."""
    precision, linear = np.diag(1.0 / hyperprior.deviation**2), np.zeros(len(hyperprior.deviation))
    for evidence, one in zip(evidences, fitted, strict=True):
        sums = likelihood(evidence, one.mean)
        information, pull = sums.information, sums.gradient + sums.information @ one.mean
        kept = information @ one.covariance
        precision += information - kept @ information
        linear += pull - kept @ pull
    covariance = inverse(0.5 * (precision + precision.T))
    return covariance @ linear, covariance


def _spread(fitted: Sequence[Gaussian], mean: Vector, hyperprior: Hyperprior) -> Vector:
    total = hyperprior.worth_persons * hyperprior.spread**2
    for one in fitted:
        total = total + (one.mean - mean) ** 2 + np.diag(one.covariance)
    return np.asarray(np.sqrt(total / (hyperprior.worth_persons + len(fitted))), np.float64)


def _of_the_mean(covariance: Matrix, spread: Vector, mean_covariance: Matrix) -> Matrix:
    """What the clinic's mean adds to a person's uncertainty: theta_p moves by C / s² for each unit of m."""
    follows = covariance / spread**2
    return np.asarray(follows @ mean_covariance @ follows.T, np.float64)
