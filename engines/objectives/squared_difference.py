"""Mean squared difference from a dose that is stated point by point, such as a predicted one."""

from __future__ import annotations

from dataclasses import dataclass

from engines.errors import EngineError
from engines.objectives.penalty import Array


@dataclass(frozen=True, eq=False)
class SquaredDifference:
    """sum_i w_i (d_i - r_i)^2 for a reference r (n,) in Gy, the merit of dose mimicking (McIntosh et al., Phys Med Biol
    62:5926, 2017). Raises EngineError where the reference is not of the same points."""

    reference_gy: Array

    def __call__(self, dose_gy: Array, weight: Array) -> tuple[float, Array]:
        if self.reference_gy.shape != dose_gy.shape:
            raise EngineError(f"a reference dose of {self.reference_gy.size} points for {dose_gy.size}")
        difference = dose_gy - self.reference_gy
        slope = weight * difference
        return float(slope @ difference), 2 * slope
