"""What a person prefers, from what the person chose: one likelihood for approvals, comparisons and named reasons."""

from engines.preference.choice import Evidence, Sums, likelihood
from engines.preference.laplace import Gaussian, posterior
from engines.preference.population import Hyperprior, Population, fit_population

__all__ = [
    "Evidence",
    "Gaussian",
    "Hyperprior",
    "Population",
    "Sums",
    "fit_population",
    "likelihood",
    "posterior",
]
