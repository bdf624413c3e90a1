"""Dose of whole beams on every wanted voxel of a grid, in one pass of a fan of rays: for final doses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.photon import _kernels
from engines.photon.dose import BeamDose, Medium, bounds


class GridDose:
    """Adds up beams on the wanted voxels (z, y, x; bool) of a medium's grid. Raises EngineError for another shape.

    Neither points, depths nor geometry are held: what is in memory is density and dose in the box around patient and
    wanted voxels. Depth is interpolated between the exact depths of rays at most half a voxel apart (docs/physics.md
    says what that costs); everything else is as in `BeamDose.at`, which takes over where the source lies within 20
    voxels of the box.
    """

    def __init__(self, medium: Medium, wanted: NDArray[np.bool_]) -> None:
        if wanted.shape != medium.grid.shape:
            raise EngineError(f"wanted voxels must be {medium.grid.shape} as the medium's grid, got {wanted.shape}")
        ends = np.array([bounds(medium.density), bounds(wanted)])
        low, high = ends[:, 0].min(axis=0), ends[:, 1].max(axis=0)
        self._cut = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        self.grid = medium.grid.cropped(tuple(low.tolist()), tuple(high.tolist()))
        """The box."""
        self._outer = medium.grid
        self._density = np.ascontiguousarray(medium.density[self._cut], np.float32)
        self._wanted = np.ascontiguousarray(wanted[self._cut]).astype(np.uint8)

    def empty(self) -> NDArray[np.float32]:
        """A dose of zero in the box, for `add`."""
        return np.zeros(self.grid.shape, np.float32)

    def add(self, beam: BeamDose, dose: NDArray[np.float32], *, scale: float = 1.0) -> None:
        """Adds scale times a beam's dose to `dose` (z, y, x) in the box."""
        if dose.shape != self.grid.shape:
            raise EngineError(f"dose must be {self.grid.shape} as the box, got {dose.shape}")
        frame, raster, grid = beam.frame, beam.raster, self.grid
        done = _kernels.add_on_grid(
            self._density, list(grid.origin_mm), list(grid.spacing_mm), list(frame.isocentre_mm), frame.ex.tolist(),
            frame.ey.tolist(), frame.ez.tolist(), frame.sad_mm, beam.model.attenuation_per_mm,
            list(beam.model.betas_per_mm), list(beam.model.softening), beam.maps, raster.u0_mm, raster.v0_mm,
            raster.pitch_mm, self._wanted, scale, dose, beam.threads,
        )  # fmt: skip
        if not done:
            index = np.flatnonzero(self._wanted)
            dose.reshape(-1)[index] += np.float32(scale) * beam.at(grid.centres_mm(index))

    def on_grid(self, dose: NDArray[np.float32]) -> NDArray[np.float32]:
        """Dose (z, y, x) of the box on the medium's whole grid, zero elsewhere."""
        if self.grid.shape == self._outer.shape:
            return dose
        whole = np.zeros(self._outer.shape, np.float32)
        whole[self._cut] = dose
        return whole
