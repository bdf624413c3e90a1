"""The shipped 6 MV beams beside the published tables that they claim to represent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from appliance.commissioning.commission import judge_by
from appliance.commissioning.cone import CollapsedCone
from appliance.commissioning.curves import Curve, Kind
from appliance.commissioning.pencil import PencilBeam
from appliance.commissioning.predict import Setup, comparisons, reference_of
from appliance.commissioning.read_folder import Measurements, read_measurements
from appliance.commissioning.report import summary
from engines.photon.beam_model import BeamModel, load_beam_model
from engines.photon.calibrate import gy_per_mu

BEAMS = Path(__file__).resolve().parents[2] / "models" / "beam"
DEPTH_DOSE_PERCENT, FROM_MM, TO_MM = 2.0, 15.0, 300.0
FACTOR_PERCENT, OFF_AXIS_PERCENT = 2.0, 2.0
ALGORITHMS_PERCENT = 2.5


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


KNOWN_MISSES = {("couchside_6mv", "collapsed cone", "5.6 Off axis, jaw-shaped fields, penumbra")}
"""(beam, algorithm, test) that a shipped beam is known to fail; its card says by how much."""


def test_the_recorded_verdicts_of_both_algorithms_are_passed_but_for_the_known(
    beam: tuple[BeamModel, Measurements],
) -> None:
    """AAPM MPPG 5.b, as the model file records it."""
    name, recorded = beam[0].name, beam[0].provenance["mppg_5b"]
    assert set(recorded) == {"collapsed cone", "pencil beam"}
    missed = {(name, by, test) for by, rows in recorded.items() for test, said in rows.items() if "passed" not in said}
    assert missed == {miss for miss in KNOWN_MISSES if miss[0] == name}


def test_the_pencil_beams_verdict_is_the_recorded_one(beam: tuple[BeamModel, Measurements]) -> None:
    """Computed again from the shipped file and the data: what the record says is what the engine gives."""
    model, measurements = beam
    setup = Setup(model.sad_mm, measurements.beam.reference.field_mm, measurements.beam.detector.width_mm)
    judged = judge_by(PencilBeam(model), gy_per_mu(model), measurements, setup)
    assert summary(judged) == model.provenance["mppg_5b"]["pencil beam"]


@pytest.mark.parametrize("side_mm", [40.0, 100.0, 200.0])
def test_both_algorithms_give_the_same_depth_doses(beam: tuple[BeamModel, Measurements], side_mm: float) -> None:
    """From 15 mm on, both at 100 mm set to one."""
    depths = np.array([15.0, 25.0, 50.0, 100.0, 150.0, 200.0, 300.0])
    curve = Curve(Kind.DEPTH_DOSE, side_mm, side_mm, 1000.0, 0.0, "Z", depths, np.ones(depths.size))
    doses = (algorithm.dose(curve) for algorithm in (cone(beam, curve), PencilBeam(beam[0])))
    by_cone, by_pencil = (dose / dose[3] for dose in doses)
    assert np.abs(by_pencil / by_cone - 1.0).max() * 100 < ALGORITHMS_PERCENT
