"""All backends, one collapsed-cone dose: each solves the problem of superposition.py to 1e-4 of the stored maximum."""

from __future__ import annotations

import numpy as np
import pytest

from engines.errors import DeviceError
from engines.photon.backend.choice import choose
from engines.photon.backend.cpu import CpuBackend

from .superposition import STORED, exposures, model, solve, solve_on_device

TOLERANCE = 1e-4
"""Share of the stored maximum: float32 in another order of summation."""


def on_the_gpu() -> np.ndarray:
    try:
        backend = choose("cuda").backend
    except DeviceError as error:
        pytest.skip(f"no GPU: {error}")
    return solve_on_device(backend)


BACKENDS = (
    pytest.param(lambda: solve(threads=1), id="cpu, one thread"),
    pytest.param(lambda: solve(threads=2), id="cpu, two threads"),
    pytest.param(lambda: solve_on_device(CpuBackend()), id="cpu, as a backend"),
    pytest.param(on_the_gpu, id="cuda", marks=pytest.mark.gpu),
)


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_backend_gives_the_stored_dose(backend):
    with np.load(STORED) as file:
        expected = file["dose"]
    got = backend()
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() <= TOLERANCE * expected.max()


def test_the_stored_dose_is_small_and_means_something():
    assert STORED.stat().st_size < 16_000
    with np.load(STORED) as file:
        dose = file["dose"]
    assert dose.min() > 0
    assert dose.max() > 1.5  # where both beams meet
    assert len(exposures()) == 2
    assert model().kernel.primary.sum() == pytest.approx(1.0)
