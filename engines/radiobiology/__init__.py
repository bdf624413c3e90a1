"""Radiobiology on arrays: linear-quadratic dose, equivalent uniform dose, complication and control probability.

`linear_quadratic` BED and EQD2; `histogram` a differential dose-volume histogram and its generalised equivalent uniform
dose; `complication` Lyman-Kutcher-Burman, logistic and log-logistic curves; `control` Poisson statistics of surviving
clonogens; `sampling` parameter sets drawn from published confidence intervals. No parameter value of any organ lives
here: those are data with a source (models/radiobiology).
"""

from engines.radiobiology.complication import lkb_probability, log_logistic_probability, logistic_probability
from engines.radiobiology.control import poisson_lq_control
from engines.radiobiology.histogram import DoseHistogram, generalised_eud
from engines.radiobiology.linear_quadratic import (
    bed,
    dose_of_eqd2,
    eqd2,
    eqd2_of_bed,
    proliferation_bed,
    recovered,
)
from engines.radiobiology.sampling import latin_hypercube, two_piece_normal

__all__ = [
    "DoseHistogram",
    "bed",
    "dose_of_eqd2",
    "eqd2",
    "eqd2_of_bed",
    "generalised_eud",
    "latin_hypercube",
    "lkb_probability",
    "log_logistic_probability",
    "logistic_probability",
    "poisson_lq_control",
    "proliferation_bed",
    "recovered",
    "two_piece_normal",
]
