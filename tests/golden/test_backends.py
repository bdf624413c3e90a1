"""All backends, one result: each solves the fixed problem of problem.py to 1e-4 of the maximum of the stored answer.

A backend is a function that gives a `Result`: the CPU build on one and two threads, and the GPU build where a CUDA
device works. tests/engines/photon/cuda holds the GPU's kernels to the same file without a GPU.
"""

from __future__ import annotations

import numpy as np
import pytest

from engines.errors import DeviceError
from engines.photon.backend.choice import choose
from engines.photon.backend.cuda_dose import CudaBackend
from engines.photon.beam_model import load_beam_model
from engines.photon.dose import DoseOperator

from .problem import (
    BLOCK,
    FRAMES,
    MODEL_FILE,
    RASTER,
    STORED,
    Result,
    blocks,
    dose_gradient,
    fluence,
    points_mm,
    solve,
    solve_on_device,
)

TOLERANCE = 1e-4
"""Share of the stored maximum: float32 in another order of summation."""

FIRST_POINT_X_MM, FLUENCE_SUM, GRADIENT_SUM = -57.410683, 1170.0871, 0.058061
"""Of the seeded generators of problem.py."""


def on_the_gpu() -> Result:
    try:
        backend = choose("cuda").backend
    except DeviceError as error:
        pytest.skip(f"no GPU: {error}")
    assert isinstance(backend, CudaBackend)
    return solve_on_device(backend)


BACKENDS = (
    pytest.param(lambda: solve(threads=1), id="cpu, one thread"),
    pytest.param(lambda: solve(threads=2), id="cpu, two threads"),
    pytest.param(on_the_gpu, id="cuda", marks=pytest.mark.gpu),
)


@pytest.fixture(scope="module")
def stored() -> Result:
    with np.load(STORED) as file:
        return Result(**{name: file[name] for name in file.files})


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_backend_gives_the_stored_result(backend, stored):
    result = backend()
    for name, expected in vars(stored).items():
        got = getattr(result, name)
        assert got.shape == expected.shape
        scale = (
            np.abs(expected).max(axis=tuple(range(expected.ndim - 1))) if name == "geometry" else np.abs(expected).max()
        )
        assert np.all(np.abs(got - expected) <= TOLERANCE * scale), name


def test_the_stored_result_is_small_and_means_something(stored):
    assert STORED.stat().st_size < 16_000
    assert stored.dose.shape == (120,)
    assert stored.dose.min() >= 0
    assert stored.dose.max() > 0.3
    assert np.abs(stored.gradient).max() > 0
    assert stored.depth_mm.max() > 80
    # Some points lie outside the box: in front of it they have no depth and no dose of that beam.
    assert (stored.depth_mm == 0).any()


def test_the_stored_numbers_are_transposes_of_each_other(stored):
    """<A x, y> = <x, A^T y> must hold of the file itself; x is constant in each block of the raster here."""
    rng = np.random.default_rng(9)
    coarse = np.zeros((2, 20, 20), np.float32)
    coarse[:, 8:12, 8:12] = rng.uniform(0, 1, (2, 4, 4))
    x = np.repeat(np.repeat(coarse, BLOCK, axis=1), BLOCK, axis=2)
    operator = DoseOperator(load_beam_model(MODEL_FILE), RASTER, stored.geometry, (900.0, 900.0))
    left = float(np.vdot(operator.forward(x).astype(float), dose_gradient()))
    right = float(np.vdot(coarse.astype(float), stored.gradient))
    assert left == pytest.approx(right, rel=1e-4, abs=1e-4 * float(np.linalg.norm(stored.gradient)))


def test_the_problem_itself_is_fixed():
    """A generator that changes its numbers would look like a broken backend."""
    assert float(points_mm()[0, 0]) == pytest.approx(FIRST_POINT_X_MM)
    assert float(fluence().sum(dtype=float)) == pytest.approx(FLUENCE_SUM, rel=1e-6)
    assert float(dose_gradient().sum(dtype=float)) == pytest.approx(GRADIENT_SUM, rel=1e-5)
    assert len(FRAMES) == 2
    assert blocks(np.ones((1, 16, 16), np.float32)).tolist() == [[[64, 64], [64, 64]]]
