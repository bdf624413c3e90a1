"""The fixed problem of the collapsed cone: two beams of the shipped 6 MV tables, one oblique with a couch turn, in a
box with a lung slab and bone. Stored is the dose on the dose grid, thinned.

Run `python -m tests.golden.superposition` from the repository's root to write the file again, after a change of the
model that is meant; a difference between backends is never a reason.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.grid import Grid
from engines.photon.backend.protocol import Backend
from engines.photon.calibrate import square_field
from engines.photon.dose import Medium
from engines.photon.frame import beam_frame
from engines.photon.photon_data import load_attenuation, load_spectrum
from engines.photon.point_kernels import load_point_kernels
from engines.photon.superposition.dose import SuperpositionDose
from engines.photon.superposition.incidence import Exposure
from engines.photon.superposition.kernel import from_data
from engines.photon.superposition.model import Contamination, ExtraFocal, SuperpositionModel

STORED = Path(__file__).with_name("superposition.npz")
TABLES = Path(__file__).resolve().parents[2] / "models" / "kernels"
THINNED = (slice(None, None, 4), slice(None, None, 3), slice(None, None, 4))


def model() -> SuperpositionModel:
    spectrum, kernel = from_data(
        load_spectrum(TABLES / "spectrum_6mv.csv"),
        load_attenuation(TABLES / "water.csv"),
        load_point_kernels(TABLES / "water_point_kernels.npz"),
    )
    return SuperpositionModel(
        spectrum=spectrum,
        kernel=kernel,
        softening_per_deg=(0.0018, 0.002, -0.0001),
        profile_radius_mm=np.array([0.0, 100.0, 300.0]),
        profile_relative=np.array([1.0, 1.03, 1.05]),
        source_fwhm_mm=4.0,
        extra_focal=ExtraFocal(0.07, 25.0, 125.0, 450.0),
        contamination=Contamination(0.1, 0.07, 60.0),
    )


def medium() -> Medium:
    grid = Grid((-57.0, -57.0, -42.0), (3.0, 3.0, 3.0), (29, 39, 39))
    density = np.ones(grid.shape, np.float32)
    density[:, 12:22] = 0.3
    density[10:20, 25:30, 5:15] = 1.7
    return Medium(grid, density)


def exposures() -> list[Exposure]:
    frames = (
        beam_frame((3.0, -2.0, 5.0), 35.0),
        beam_frame((3.0, -2.0, 5.0), 250.0, collimator_deg=10.0, couch_deg=15.0),
    )
    return [
        Exposure(frame, lambda raster, side=side: square_field(raster, side), (-side / 2, side / 2) * 2)
        for frame, side in zip(frames, (40.0, 60.0), strict=True)
    ]


def solve(*, threads: int = 1) -> NDArray[np.float32]:
    """With the CPU backend: the one that the stored answer was made with."""
    return SuperpositionDose(model(), medium(), threads=threads).calculate(exposures())[THINNED]


def solve_on_device(backend: Backend) -> NDArray[np.float32]:
    return backend.superposition(model(), medium()).calculate(exposures())[THINNED]


if __name__ == "__main__":
    np.savez_compressed(STORED, dose=solve())
