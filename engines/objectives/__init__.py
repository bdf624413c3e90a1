"""Penalties on the dose of one structure: value and gradient side by side, one file each.

Every penalty is called with the doses (n,) in Gy at the structure's points and their weights (n,), which sum to one
(each point stands for its share of the structure's volume), and returns (value, gradient (n,)). Values are in Gy^2, so
that weights of different penalties compare.
"""

from engines.objectives.dvh_max import DvhMax
from engines.objectives.dvh_min import DvhMin
from engines.objectives.falloff import Falloff
from engines.objectives.geud import Geud
from engines.objectives.mean_dose import MeanDose
from engines.objectives.penalty import Penalty
from engines.objectives.squared_deviation import SquaredDeviation
from engines.objectives.squared_difference import SquaredDifference
from engines.objectives.squared_overdose import SquaredOverdose
from engines.objectives.squared_underdose import SquaredUnderdose

__all__ = [
    "DvhMax",
    "DvhMin",
    "Falloff",
    "Geud",
    "MeanDose",
    "Penalty",
    "SquaredDeviation",
    "SquaredDifference",
    "SquaredOverdose",
    "SquaredUnderdose",
]
