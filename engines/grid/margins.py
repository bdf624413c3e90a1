"""Distances towards the six sides of a patient."""

from __future__ import annotations

import math
from dataclasses import dataclass

from engines.errors import EngineError


@dataclass(frozen=True)
class Margins:
    """mm towards each side, none negative (LPS: left +x, posterior +y, superior +z). Raises EngineError for others."""

    left: float
    right: float
    anterior: float
    posterior: float
    superior: float
    inferior: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) and value >= 0 for axis in self.axes for value in axis):
            raise EngineError(f"margins must be finite and not negative, got {self.words}")

    @staticmethod
    def all_round(margin_mm: float) -> Margins:
        return Margins(*[margin_mm] * 6)

    @property
    def axes(self) -> tuple[tuple[float, float], ...]:
        """(towards rising, towards falling coordinates) along x, y, z."""
        return (self.left, self.right), (self.posterior, self.anterior), (self.superior, self.inferior)

    @property
    def words(self) -> str:
        sides = (self.left, self.right, self.anterior, self.posterior, self.superior, self.inferior)
        same = len(set(sides)) == 1
        return f"{self.left:g} mm" if same else f"{'/'.join(f'{side:g}' for side in sides)} mm"
