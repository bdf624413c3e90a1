"""A patient as the dose network is told of it: masks, prescriptions, CT and voxel size."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engines.dose_features.errors import AnatomyError
from engines.dose_features.layout import Layout

Mask = NDArray[np.bool_]

LEVEL_TOLERANCE = 0.005
"""A target this little (of the highest prescription) below a level still belongs to it. Chosen: 59.4 of 66 Gy in
decimals is 0.9, and no clinic means something else by 0.5 %."""


@dataclass(frozen=True, eq=False)
class Anatomy:
    """Arrays (z, y, x), indices growing towards superior, posterior and left (DICOM LPS), all of one shape.

    possible: where dose is possible; everything else gets none. organs: masks by name; names that the layout does not
    know become its channel "other". targets: (prescribed Gy, mask), in any order; where they overlap the higher
    prescription counts. ct_hu: Hounsfield units, None where there is no CT. spacing_mm: (z, y, x).

    Features depend on where the anatomy lies in its array by a hash that draws points for the quick plans: crop to
    `possible`, as the training did (appliance.prediction.anatomy does).

    Raises AnatomyError (see its rules) for empty masks, a missing, empty or impossible target, a CT that is not finite,
    a spacing that is not positive, and shapes that differ."""

    possible: Mask
    organs: Mapping[str, Mask]
    targets: Sequence[tuple[float, Mask]]
    ct_hu: NDArray[np.float32] | None
    spacing_mm: tuple[float, float, float]
    layout: Layout = field(default_factory=Layout)

    def __post_init__(self) -> None:
        self._check_shapes()
        if len(self.spacing_mm) != 3 or not all(math.isfinite(s) and s > 0 for s in self.spacing_mm):
            raise AnatomyError("spacing", f"the voxel size must be three positive numbers, not {self.spacing_mm} mm")
        if not self.possible.any():
            raise AnatomyError("possible.empty", "there is no voxel where dose is possible")
        if not self.targets:
            raise AnatomyError("target.none", "there is no target")
        inside = False
        for number, (gy, mask) in enumerate(self.targets, start=1):
            if not (math.isfinite(gy) and gy > 0):
                raise AnatomyError("target.prescription", f"target {number} is prescribed {gy:g} Gy")
            if not mask.any():
                raise AnatomyError("target.empty", f"target {number} ({gy:g} Gy) has no voxel")
            inside = inside or bool((mask & self.possible).any())
        if not inside:
            raise AnatomyError("target.outside", "no target lies where dose is possible")
        if self.ct_hu is not None and not np.isfinite(self.ct_hu).all():
            raise AnatomyError("ct.not-finite", "the CT holds values that are not numbers")

    def _check_shapes(self) -> None:
        shape = self.possible.shape
        if len(shape) != 3 or min(shape, default=0) < 1:
            raise AnatomyError("shape", f"masks need three axes, got shape {shape}")
        masks = {f"organ {name}": mask for name, mask in self.organs.items()}
        masks |= {f"target {n}": mask for n, (_, mask) in enumerate(self.targets, start=1)}
        masks["possible"] = self.possible
        for name, mask in masks.items():
            if mask.shape != shape or mask.dtype != np.bool_:
                raise AnatomyError("shape", f"{name} is {mask.dtype} of shape {mask.shape}, not bool of shape {shape}")
        if self.ct_hu is not None and self.ct_hu.shape != shape:
            raise AnatomyError("shape", f"the CT has shape {self.ct_hu.shape}, the masks {shape}")

    @property
    def shape(self) -> tuple[int, int, int]:
        nz, ny, nx = self.possible.shape
        return nz, ny, nx

    @property
    def unit_gy(self) -> float:
        """The network's dose of 1: the highest prescription."""
        return max(gy for gy, _ in self.targets)

    def level_of(self, prescribed_gy: float) -> int:
        """Which of the layout's levels a target belongs to: the highest that its share of the highest prescription
        reaches (to LEVEL_TOLERANCE); the lowest for a share below all of them."""
        share = prescribed_gy / self.unit_gy + LEVEL_TOLERANCE
        return next((n for n, level in enumerate(self.layout.levels) if share >= level), len(self.layout.levels) - 1)
