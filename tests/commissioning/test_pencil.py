"""The pencil beam of a commissioned model: its softening follows wide profiles; corrections follow no single voxel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from appliance.commissioning.commission import steady
from appliance.commissioning.curves import Curve, Kind
from appliance.commissioning.fit_pencil import fit_pencil
from appliance.commissioning.model import even_softening
from appliance.commissioning.pencil import PencilBeam
from engines.photon.beam_model import BeamModel, load_beam_model

ACROSS = np.arange(-130.0, 131.0, 10.0)


@pytest.fixture(scope="module")
def shipped() -> BeamModel:
    return load_beam_model(Path(__file__).resolve().parents[2] / "models" / "beam" / "couchside_6mv.json")


def profile(beam: PencilBeam, depth_mm: float) -> Curve:
    blank = Curve(Kind.PROFILE, 300.0, 300.0, 1000.0, depth_mm, "X", ACROSS, ACROSS)
    return Curve(Kind.PROFILE, 300.0, 300.0, 1000.0, depth_mm, "X", ACROSS, beam.dose(blank))


def test_softening_comes_back_from_profiles_of_two_depths(shipped: BeamModel) -> None:
    s2, s4 = shipped.softening
    truth = PencilBeam(shipped).softened_by((1.4 * s2, 1.4 * s4))
    found = fit_pencil(shipped, [profile(truth, depth) for depth in (20.0, 200.0)])
    assert found.softening == pytest.approx((1.4 * s2, 1.4 * s4), rel=0.02)


def test_profiles_of_one_depth_say_nothing_of_softening(shipped: BeamModel) -> None:
    truth = PencilBeam(shipped).softened_by((0.0, 0.0))
    assert fit_pencil(shipped, [profile(truth, 100.0)]) is shipped


def test_softer_rays_are_attenuated_more(shipped: BeamModel) -> None:
    """Off the axis, the more the deeper; on it not at all."""
    hard = PencilBeam(shipped).softened_by((0.0, 0.0))
    lost = [profile(PencilBeam(shipped), d).values / profile(hard, d).values for d in (50.0, 200.0)]
    assert np.all(lost[1][ACROSS != 0] < lost[0][ACROSS != 0])
    assert np.allclose([one[ACROSS == 0] for one in lost], 1.0, atol=1e-6)


def test_the_even_polynomial_is_the_softening_where_fields_are() -> None:
    """Tailor's form, 2 to 11 degrees off the axis."""
    angle = np.linspace(2.0, 11.0, 10)
    s2, s4 = even_softening((0.0018, 0.002, -0.000094))
    tangent2 = np.tan(np.radians(angle)) ** 2
    wanted = 0.0018 * angle + 0.002 * angle**2 - 0.000094 * angle**3
    assert np.abs(s2 * tangent2 + s4 * tangent2**2 - wanted).max() < 0.012


def test_a_correction_follows_no_single_voxel() -> None:
    depth = np.arange(0.0, 301.0, 10.0)
    course = 1.0 + 2e-5 * depth - 1e-7 * depth**2
    noise = 0.005 * np.where(np.arange(depth.size) % 2, 1.0, -1.0)
    curve = Curve(Kind.DEPTH_DOSE, 40.0, 40.0, 1000.0, 0.0, "Z", depth, depth)
    made = steady(curve, course + noise)
    assert np.abs(made - course)[1:].max() < 0.002
    assert made[0] == course[0] + noise[0]
    few = Curve(Kind.DEPTH_DOSE, 40.0, 40.0, 1000.0, 0.0, "Z", depth[:4], depth[:4])
    assert np.array_equal(steady(few, (course + noise)[:4]), (course + noise)[:4])
