"""All backends, one collapsed-cone dose: each solves the problem of superposition.py to 1e-4 of the stored maximum."""

from __future__ import annotations

import numpy as np
import pytest

from .superposition import STORED, exposures, model, solve

TOLERANCE = 1e-4
"""Share of the stored maximum: float32 in another order of summation."""

BACKENDS = (
    pytest.param(lambda: solve(threads=1), id="cpu, one thread"),
    pytest.param(lambda: solve(threads=2), id="cpu, two threads"),
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
