"""Input of the dose network without PyTorch: masks of an anatomy in, the features models/dose was trained on out."""

from engines.dose_features.anatomy import LEVEL_TOLERANCE, Anatomy
from engines.dose_features.errors import AnatomyError
from engines.dose_features.features import Features, features
from engines.dose_features.layout import Layout

__all__ = ["LEVEL_TOLERANCE", "Anatomy", "AnatomyError", "Features", "Layout", "features"]
