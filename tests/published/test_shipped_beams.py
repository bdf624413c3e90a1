"""The shipped 6 MV beams, by the collapsed cone, beside the published tables that they claim to represent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from appliance.commissioning.cone import CollapsedCone
from appliance.commissioning.curves import Curve, Kind
from appliance.commissioning.predict import Setup, comparisons, reference_of
from appliance.commissioning.read_folder import Measurements, read_measurements
from engines.photon.beam_model import BeamModel, load_beam_model

BEAMS = Path(__file__).resolve().parents[2] / "models" / "beam"
DEPTH_DOSE_PERCENT, FROM_MM, TO_MM = 1.5, 15.0, 300.0
FACTOR_PERCENT, OFF_AXIS_PERCENT = 2.0, 2.0


@pytest.fixture(scope="module", params=["6mv", "6mv_fff"])
def beam(request: pytest.FixtureRequest) -> tuple[BeamModel, Measurements]:
    return load_beam_model(BEAMS / f"couchside_{request.param}.json"), read_measurements(BEAMS / "data" / request.param)


def cone(beam: tuple[BeamModel, Measurements], *curves: Curve) -> CollapsedCone:
    model, _ = beam
    assert model.superposition is not None
    return CollapsedCone(model.superposition, model.collimation, model.sad_mm, curves)


@pytest.mark.parametrize("side_mm", [40.0, 100.0, 200.0])
def test_depth_doses_from_15_to_300_mm(beam: tuple[BeamModel, Measurements], side_mm: float) -> None:
    """Percent depth doses: both at 100 % in their maximum, differences in percent of the local dose."""
    curve = next(c for c in beam[1].curves if c.kind is Kind.DEPTH_DOSE and c.is_of_field(side_mm, side_mm))
    modelled = cone(beam, curve).dose(curve)
    deep = (curve.positions_mm >= FROM_MM) & (curve.positions_mm <= TO_MM)
    measured, modelled = (values[deep] / values[deep].max() for values in (curve.values, modelled))
    assert np.abs(modelled / measured - 1.0).max() * 100 < DEPTH_DOSE_PERCENT


@pytest.mark.parametrize("side_mm", [40.0, 70.0, 200.0])
def test_output_factors(beam: tuple[BeamModel, Measurements], side_mm: float) -> None:
    point = next(c for c in beam[1].curves if c.kind is Kind.OUTPUT_FACTOR and c.is_of_field(side_mm, side_mm))
    open_field = reference_of(point, Setup(1000.0, 100.0))
    engine = cone(beam, point, open_field)
    factor = engine.dose(point)[0] / engine.dose(open_field)[0]
    assert 100 * abs(factor / point.values[0] - 1.0) < FACTOR_PERCENT


def test_off_axis(beam: tuple[BeamModel, Measurements]) -> None:
    """The 300 mm field at 100 mm depth, inside the field."""
    model, measurements = beam
    curve = next(
        c for c in measurements.curves
        if c.kind is Kind.PROFILE and c.is_of_field(300.0, 300.0) and c.depth_mm == 100.0
    )  # fmt: skip
    setup = Setup(model.sad_mm, 100.0, measurements.beam.detector.width_mm)
    (made,) = comparisons([curve], cone(beam, curve), setup)
    inside = np.abs(curve.positions_mm) < 150.0
    assert np.abs(made.modelled / made.measured - 1.0)[inside].max() * 100 < OFF_AXIS_PERCENT
