"""The collapsed cone in a tank beside pencils of the same point kernels: two programs, one superposition."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from appliance.commissioning.commission import load_tables, start
from appliance.commissioning.cone import CollapsedCone
from appliance.commissioning.curves import Curve, Kind, Slab
from appliance.commissioning.description import BeamDescription, ReferenceConditions
from appliance.commissioning.model import beam_model
from appliance.commissioning.pencil import PencilBeam
from appliance.commissioning.physics import Beam, Superposed
from engines.photon.beam_model import BeamModel

DESCRIPTION = BeamDescription(
    format="couchside-measurements-1",
    name="tank",
    energy_mv=6.0,
    fluence_mode="FFF",
    sad_mm=1000.0,
    reference=ReferenceConditions(ssd_mm=1000.0, depth_mm=15.0, field_mm=100.0, gy_per_mu=0.01),
    sources={},
)


@pytest.fixture(scope="module")
def made() -> tuple[Beam, BeamModel]:
    tables = load_tables(DESCRIPTION, Path())
    beam = start(DESCRIPTION, tables)
    return beam, beam_model(beam, DESCRIPTION, tables.attenuation, tables.kernels).model


def cone(model: BeamModel, *curves: Curve) -> CollapsedCone:
    assert model.superposition is not None
    return CollapsedCone(model.superposition, replace(model.collimation, jaw_transmission=0.0), model.sad_mm, curves)


@pytest.mark.parametrize("side_mm", [30.0, 60.0])
def test_collapsed_cone_and_pencils_agree_in_water(made: tuple[Beam, BeamModel], side_mm: float) -> None:
    """Within 1 %, in absolute units, from 15 mm to 150 mm."""
    beam, model = made
    depths = np.array([15.0, 20, 30, 50, 75, 100, 150])
    curve = Curve(Kind.DEPTH_DOSE, side_mm, side_mm, 1000.0, 0.0, "Z", depths, depths)
    ratio = cone(model, curve).dose(curve) / Superposed(beam).dose(curve)
    np.testing.assert_allclose(ratio, 1.0, atol=0.01)


def test_behind_lung_both_algorithms_see_more_dose_and_the_pencil_beam_most(made: tuple[Beam, BeamModel]) -> None:
    """80 mm of density 0.3 before a point: less attenuation, and for the collapsed cone less scatter from the layer
    too, which radiological depth knows nothing of."""
    _, model = made
    depth = 160.0
    point = Curve(
        Kind.DENSITY_CORRECTION, 60.0, 60.0, 1000.0, depth, "Z", np.array([depth]), np.ones(1),
        slab=Slab(30.0, 110.0, 0.3),
    )  # fmt: skip
    water = replace(point, slab=None)
    factors = [
        float(algorithm.dose(point)[0] / algorithm.dose(water)[0])
        for algorithm in (cone(model, point, water), PencilBeam(model))
    ]
    assert 1.1 < factors[0] < factors[1] < 1.35
