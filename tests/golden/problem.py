"""The fixed problem that every backend must solve to one result, and how its stored answer was made.

Two oblique beams through a box with a lung slab and a couch turn, seeded fluence, 120 points. Stored are radiological
depths, point geometry, dose, and the transposed product of a seeded dose gradient, summed over 20 x 20 mm blocks of
the raster to keep the file small.

Run `python -m tests.golden.problem` from the repository's root to write the file again, after a change of the
model that is meant; a difference between backends is never a reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.grid import Grid
from engines.photon.backend.cuda_dose import CudaBackend
from engines.photon.backend.protocol import Exposure
from engines.photon.beam_model import BeamModel, load_beam_model
from engines.photon.dose import DoseOperator, Medium, point_geometry
from engines.photon.frame import beam_frame
from engines.photon.raster import Raster

STORED = Path(__file__).with_name("two_beams.npz")
MODEL_FILE = Path(__file__).resolve().parents[2] / "models" / "beam" / "generic_6mv.json"
# 2.5 mm pixels, wide enough that no point is within a kernel's reach of the field's periodic image.
RASTER = Raster(u0_mm=-198.75, v0_mm=-198.75, pitch_mm=2.5, nu=160, nv=160)
FRAMES = (beam_frame((3.0, -2.0, 5.0), 35.0), beam_frame((3.0, -2.0, 5.0), 250.0, collimator_deg=10.0, couch_deg=15.0))
FIELD = slice(68, 92)
BLOCK = 8


@dataclass(frozen=True, eq=False)
class Result:
    """depth_mm (beams, n), geometry (beams, n, 5), dose (n,), gradient (beams, blocks, blocks)."""

    depth_mm: NDArray[np.float32]
    geometry: NDArray[np.float32]
    dose: NDArray[np.float32]
    gradient: NDArray[np.float32]


def medium() -> Medium:
    grid = Grid((-57.0, -57.0, -42.0), (3.0, 3.0, 3.0), (29, 39, 39))
    density = np.ones(grid.shape, np.float32)
    density[:, 12:22] = 0.3
    density[10:20, 25:30, 5:15] = 1.7
    return Medium(grid, density)


def points_mm() -> NDArray[np.float32]:
    """120 points in and just outside the box."""
    return np.random.default_rng(20260301).uniform((-60, -60, -45), (60, 60, 45), (120, 3)).astype(np.float32)


def fluence() -> NDArray[np.float32]:
    made = np.zeros((2, RASTER.nv, RASTER.nu), np.float32)
    made[:, FIELD, FIELD] = np.random.default_rng(6).uniform(0, 2, (2, 24, 24))
    return made


def dose_gradient() -> NDArray[np.float32]:
    return np.random.default_rng(7).uniform(-1, 1, 120).astype(np.float32)


def solve(model: BeamModel | None = None, *, threads: int = 1) -> Result:
    """With the CPU backend: the one that the stored answer was made with."""
    model = model or load_beam_model(MODEL_FILE)
    space, points = medium(), points_mm()
    depth = np.stack([space.depth_mm(frame, points, threads=threads) for frame in FRAMES])
    geometry = np.stack(
        [point_geometry(model, frame, points, d, threads=threads) for frame, d in zip(FRAMES, depth, strict=True)]
    )
    operator = DoseOperator(model, RASTER, geometry, (900.0, 900.0), threads=threads)
    return Result(depth, geometry, operator.forward(fluence()), blocks(operator.adjoint(dose_gradient())))


def solve_on_device(backend: CudaBackend) -> Result:
    """With a GPU, or what stands for one in tests."""
    model, space, points = load_beam_model(MODEL_FILE), medium(), points_mm()
    operator = backend.dose_operator(model, RASTER, Exposure(space, FRAMES, points, (900.0, 900.0)))
    depth = backend.depth_mm(space, FRAMES, points)
    return Result(depth, operator.geometry(), operator.forward(fluence()), blocks(operator.adjoint(dose_gradient())))


def blocks(gradient: NDArray[np.float32]) -> NDArray[np.float32]:
    beams, nv, nu = gradient.shape
    tiles = gradient.reshape(beams, nv // BLOCK, BLOCK, nu // BLOCK, BLOCK)
    return np.asarray(tiles.sum(axis=(2, 4), dtype=np.float64), np.float32)


if __name__ == "__main__":
    np.savez_compressed(STORED, **vars(solve()))
