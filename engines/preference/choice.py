"""Everything a person decides is one choice among options, and an option's worth is linear in its features.

With worth u_r = x_r · theta, the option c is chosen with probability exp(u_c) / sum_r exp(u_r): the conditional logit
(McFadden, "Conditional logit analysis of qualitative choice behavior", in Zarembka, Frontiers in Econometrics, 1974).
With two options it is sigma(theta · (x_c - x_other)), which is logistic regression where the other option is worth
zero ("leave it"), and the model of Bradley and Terry (Biometrika 39:324, 1952) where it is another plan. The negative
logarithm is convex in theta, so its minimum under a Gaussian prior is unique.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

FAR = -1e30
"""Worth of the padding rows: an option that is not there. Chosen, so that exp() of it is exactly zero."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """Choices of one person. features: k.

    pair_rows (n, k): chosen option minus the other one, of choices between two; pair_weights (n,).
    menus (m, r, k): options of choices among several, the chosen one first; `there` (m, r) bool tells options from
    padding; menu_weights (m,). A weight scales the logarithm of a likelihood; 1 is one independent choice.
    """

    pair_rows: Matrix
    pair_weights: Vector
    menus: Matrix
    there: NDArray[np.bool_]
    menu_weights: Vector

    @staticmethod
    def of(features: int, choices: Sequence[tuple[Matrix, float]]) -> Evidence:
        """choices: (options (r, features) with the chosen one first, weight). A choice with one option says nothing
        and is left out. Raises EngineError for another number of features, values that are not finite, or a weight
        that is not above zero."""
        pairs: list[Vector] = []
        pair_weights: list[float] = []
        wide: list[tuple[Matrix, float]] = []
        for options, weight in choices:
            rows = np.asarray(options, np.float64)
            if rows.ndim != 2 or rows.shape[1] != features or not np.isfinite(rows).all():
                raise EngineError(f"a choice needs finite options of {features} features, got shape {rows.shape}")
            if not (np.isfinite(weight) and weight > 0):
                raise EngineError(f"a choice needs a weight above zero, got {weight}")
            if len(rows) == 2:
                pairs.append(rows[0] - rows[1])
                pair_weights.append(weight)
            elif len(rows) > 2:
                wide.append((rows, weight))
        most = max((len(rows) for rows, _ in wide), default=0)
        menus, there = np.zeros((len(wide), most, features)), np.zeros((len(wide), most), np.bool_)
        for index, (rows, _) in enumerate(wide):
            menus[index, : len(rows)], there[index, : len(rows)] = rows, True
        return Evidence(
            np.asarray(pairs, np.float64).reshape(len(pairs), features),
            np.asarray(pair_weights, np.float64),
            menus,
            there,
            np.asarray([weight for _, weight in wide], np.float64),
        )

    @property
    def features(self) -> int:
        return int(self.pair_rows.shape[1])

    @property
    def choices(self) -> int:
        return len(self.pair_weights) + len(self.menu_weights)


@dataclass(frozen=True, eq=False)
class Sums:
    """value: weighted log-likelihood; gradient (k,); information (k, k): minus the second derivative."""

    value: float
    gradient: Vector
    information: Matrix


def likelihood(evidence: Evidence, theta: Vector) -> Sums:
    """The logarithm of the likelihood of all choices at theta (k,), with its first and second derivatives."""
    worth = evidence.pair_rows @ theta
    chosen = _sigmoid(worth)
    weighted = evidence.pair_weights * (1.0 - chosen)
    value = -float(evidence.pair_weights @ np.logaddexp(0.0, -worth))
    gradient = evidence.pair_rows.T @ weighted
    information = (evidence.pair_rows * (weighted * chosen)[:, None]).T @ evidence.pair_rows
    if len(evidence.menus):
        menu = _menus(evidence, theta)
        value, gradient = value + menu.value, gradient + menu.gradient
        information = information + menu.information
    return Sums(value, gradient, information)


def _menus(evidence: Evidence, theta: Vector) -> Sums:
    worth = np.where(evidence.there, evidence.menus @ theta, FAR)
    top = worth.max(axis=1, keepdims=True)
    raised = np.exp(worth - top)
    total = raised.sum(axis=1, keepdims=True)
    share = raised / total
    weights = evidence.menu_weights
    value = float(weights @ (worth[:, 0] - top[:, 0] - np.log(total[:, 0])))
    mean = np.einsum("mr,mrk->mk", share, evidence.menus)
    gradient = weights @ (evidence.menus[:, 0] - mean)
    spread = evidence.menus - mean[:, None, :]
    rows = (spread * np.sqrt(share * weights[:, None])[:, :, None]).reshape(-1, evidence.features)
    return Sums(value, gradient, rows.T @ rows)


def _sigmoid(x: Vector) -> Vector:
    return np.exp(-np.logaddexp(0.0, -x))
