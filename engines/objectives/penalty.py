"""What all penalties look like."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


class Penalty(Protocol):
    def __call__(self, dose_gy: Array, weight: Array) -> tuple[float, Array]: ...
