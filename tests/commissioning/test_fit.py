"""Fits give back the beam that made the measurements; pencils, kernels and pencil beam agree with each other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from appliance.commissioning.commission import Part, Tables, fitted, load_tables, start
from appliance.commissioning.curves import Curve, Kind
from appliance.commissioning.description import BeamDescription, ReferenceConditions
from appliance.commissioning.fit_profile import KNOTS_MM, scaled_softening
from appliance.commissioning.model import beam_model
from appliance.commissioning.pencil import PencilBeam
from appliance.commissioning.physics import AxisParameters, Beam, Correction, Superposed
from appliance.commissioning.predict import Setup, comparisons
from appliance.contracts.progress import silent
from engines.photon.beam_model import load_beam_model, save_beam_model

SETUP = Setup(sad_mm=1000.0, field_mm=100.0)
DESCRIPTION = BeamDescription(
    format="couchside-measurements-1",
    name="synthetic",
    energy_mv=6.0,
    fluence_mode="STANDARD",
    sad_mm=1000.0,
    reference=ReferenceConditions(ssd_mm=1000.0, depth_mm=15.0, field_mm=100.0, gy_per_mu=0.01),
    sources={},
)
TRUE_AXIS = AxisParameters(0.25, 0.3, 0.08, 25.0, 0.15, 0.09, 70.0)
DEPTHS = np.array([2.0, 4, 6, 8, 10, 12, 15, 20, 30, 50, 75, 100, 150, 200, 250, 300])


@pytest.fixture(scope="module")
def tables() -> Tables:
    return load_tables(DESCRIPTION, Path())


@pytest.fixture(scope="module")
def truth(tables: Tables) -> Beam:
    return replace(
        start(DESCRIPTION, tables).with_axis(TRUE_AXIS),
        softening_per_deg=scaled_softening(0.7),
        profile_radius_mm=KNOTS_MM,
        profile_relative=1.0 + 0.08 * np.clip(KNOTS_MM / 150.0, 0, 1) ** 1.5,
        source_fwhm_mm=3.0,
    )


def measured(beam: Beam) -> list[Curve]:
    """What a perfect tank would measure of a beam."""
    water = Superposed(beam)
    blank = [
        *(Curve(Kind.DEPTH_DOSE, a, a, 1000.0, 0.0, "Z", DEPTHS, DEPTHS) for a in (40.0, 100.0, 200.0, 300.0)),
        *(Curve(Kind.OUTPUT_FACTOR, a, a, 900.0, 100.0, "Z", np.array([100.0]), np.ones(1))
          for a in (30.0, 50.0, 70.0, 150.0, 200.0, 300.0, 400.0)),
        *(Curve(Kind.PROFILE, a, a, 1000.0, d, "X", at, at)
          for a, d, at in ((100.0, 100.0, np.arange(-80.0, 81.0, 2.5)), (400.0, 15.0, np.arange(-220.0, 221.0, 5.0)),
                           (400.0, 200.0, np.arange(-260.0, 261.0, 5.0)))),
    ]  # fmt: skip
    reference = water.dose(replace(blank[4], field_x_mm=100.0, field_y_mm=100.0))[0]
    made = []
    for curve in blank:
        dose = water.dose(curve)
        scale = 1.0 / reference if curve.kind is Kind.OUTPUT_FACTOR else 100.0 / float(dose.max())
        made.append(replace(curve, values=dose * scale))
    return made


def test_the_round_trip_gives_back_the_beam(tables: Tables, truth: Beam) -> None:
    """Parameters that the data determine come back; the spectrum's two, which trade against each other, through what
    they do to the mean energy."""
    beam, curves = start(DESCRIPTION, tables), measured(truth)
    for _ in range(2):
        beam, reach_mm = fitted(beam, curves, SETUP, Correction(), Part(silent, 0.0, 1.0))
    energy = beam.pencils.energy_mev
    assert beam.fluence @ energy == pytest.approx(truth.fluence @ energy, rel=0.03)
    assert beam.axis.head_weight == pytest.approx(TRUE_AXIS.head_weight, abs=0.006)
    assert beam.axis.head_sigma_mm == pytest.approx(TRUE_AXIS.head_sigma_mm, abs=2.0)
    assert beam.source_fwhm_mm == pytest.approx(3.0, abs=0.2)
    assert reach_mm > 180.0
    inside = reach_mm > KNOTS_MM
    np.testing.assert_allclose(beam.profile_relative[inside], truth.profile_relative[inside], atol=0.006)
    worst = max(
        float(np.abs(made.measured - made.modelled).max() / made.measured.max())
        for made in comparisons(curves, Superposed(beam), SETUP)
    )
    assert worst < 0.01


def test_the_fit_is_deterministic(tables: Tables, truth: Beam) -> None:
    curves = measured(truth)[:6]
    first, second = (
        fitted(start(DESCRIPTION, tables), curves, SETUP, Correction(), Part(silent, 0.0, 1.0))[0].axis for _ in "ab"
    )
    assert first == second


def test_the_pencil_beam_meets_the_pencils_it_was_made_of(tables: Tables, truth: Beam, tmp_path: Path) -> None:
    """Three terms of depth meet depth doses of 40 to 200 mm fields within 2.5 % from 15 mm on; the file keeps them."""
    written = beam_model(truth, DESCRIPTION, tables.attenuation, tables.kernels)
    save_beam_model(written.model, tmp_path / "m.json")
    pencil, water = PencilBeam(load_beam_model(tmp_path / "m.json")), Superposed(truth)
    depths = np.array([15.0, 20, 30, 50, 100, 150, 200, 250, 300])
    for side in (40.0, 100.0, 200.0):
        curve = Curve(Kind.DEPTH_DOSE, side, side, 1000.0, 0.0, "Z", depths, depths)
        assert np.abs(pencil.dose(curve) / water.dose(curve) - 1.0).max() < 0.025


def test_dose_of_pencils_follows_the_inverse_square(tables: Tables) -> None:
    """15 mm deep in a field of one size there, 915 and 1015 mm from the source: (1015/915)^2, if there is no head
    scatter, whose source lies nearer."""
    beam = start(DESCRIPTION, tables).with_axis(replace(TRUE_AXIS, head_weight=0.0, electron_weight=0.0))
    water = Superposed(beam)
    near, far = (
        water.dose(Curve(Kind.OUTPUT_FACTOR, side, side, ssd, 15.0, "Z", np.array([15.0]), np.ones(1)))[0]
        for side, ssd in ((1000.0 / 0.915 / 10, 900.0), (1000.0 / 1.015 / 10, 1000.0))
    )
    assert near / far == pytest.approx((1015.0 / 915.0) ** 2, rel=2e-3)


def test_a_wide_beam_gives_more_than_its_primary_kerma(tables: Tables) -> None:
    """At 100 mm depth scatter adds to the collision kerma of the attenuated primary: the build-up factor of a beam
    without borders is above one, the more so the lower the energy."""
    pencils = start(DESCRIPTION, tables).pencils
    depth = int(np.argmin(np.abs(pencils.depth_mm - 100.0)))
    factors = []
    for energy in (0.55, 1.25, 3.05):
        i = int(np.argmin(np.abs(pencils.energy_mev - energy)))
        kerma = pencils.collision_kerma[i] * np.exp(-0.1 * pencils.attenuation_cm2_g[i] * pencils.depth_mm[depth])
        factors.append(float(pencils.deposit[i, :, depth].sum()) / kerma)
    assert factors[0] > factors[1] > factors[2] > 1.0
