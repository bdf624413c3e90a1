"""Mass and electron density against published compositions, and each against the other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.density import electron_from_mass, mass_from_electron
from engines.errors import EngineError


@pytest.mark.parametrize(
    ("mass", "z_over_a"),
    # NIST tables of X-ray mass attenuation coefficients, ICRU 44 tissues
    [(0.001205, 0.49919), (0.95, 0.55579), (1.0, 0.55508), (1.06, 0.54996), (1.92, 0.51478), (4.54, 0.45961)],
)
def test_published_tissues(mass, z_over_a):
    assert electron_from_mass(np.array(mass)) == pytest.approx(mass * z_over_a / 0.55508, rel=1e-9)


@pytest.mark.parametrize(
    ("mass", "z_over_a", "within"),
    # tissues that are no node: brain, breast, muscle, blood, and inflated lung between its nodes' densities
    [
        (1.04, 0.55239, 0.002),
        (1.02, 0.55196, 0.003),
        (1.05, 0.55000, 0.002),
        (1.06, 0.54999, 0.001),
        (0.5, 0.55048, 0.005),
    ],
)
def test_other_tissues_are_near(mass, z_over_a, within):
    assert electron_from_mass(np.array(mass)) == pytest.approx(mass * z_over_a / 0.55508, rel=within)


@given(mass=st.floats(0, 20))
def test_one_gives_back_the_other(mass):
    there = electron_from_mass(np.array([mass]))
    assert mass_from_electron(there)[0] == pytest.approx(mass, rel=1e-9, abs=1e-12)


def test_more_mass_is_always_more_electrons():
    assert np.all(np.diff(electron_from_mass(np.linspace(0, 20, 4001))) > 0)


@pytest.mark.parametrize("convert", [electron_from_mass, mass_from_electron])
@pytest.mark.parametrize("value", [-0.1, float("nan")])
def test_no_matter_is_less_than_nothing(convert, value):
    with pytest.raises(EngineError):
        convert(np.array([1.0, value]))
