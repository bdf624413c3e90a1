"""IEC 61217 angles to LPS: known set-ups in words, orthonormality and the projection's law."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.errors import EngineError
from engines.photon.frame import PATIENT_POSITIONS, beam_frame

ORIGIN = (0.0, 0.0, 0.0)
LEFT, RIGHT = (1, 0, 0), (-1, 0, 0)
POSTERIOR, ANTERIOR = (0, 1, 0), (0, -1, 0)
SUPERIOR, INFERIOR = (0, 0, 1), (0, 0, -1)

# Where the source stands (Z_b), read from drawings of each set-up: gantry 0 above the couch, 90 at the observer's right
# hand when facing the gantry, 180 below, 270 at the left hand.
SOURCE = {
    ("HFS", 0): ANTERIOR,
    ("HFS", 90): LEFT,
    ("HFS", 180): POSTERIOR,
    ("HFS", 270): RIGHT,
    ("HFP", 0): POSTERIOR,
    ("HFP", 90): RIGHT,
    ("HFP", 180): ANTERIOR,
    ("HFP", 270): LEFT,
    ("FFS", 0): ANTERIOR,
    ("FFS", 90): RIGHT,
    ("FFS", 180): POSTERIOR,
    ("FFS", 270): LEFT,
    ("FFP", 0): POSTERIOR,
    ("FFP", 90): LEFT,
    ("FFP", 180): ANTERIOR,
    ("FFP", 270): RIGHT,
}
# Towards the gantry, which is Y_b at collimator 0: the head enters first or the feet do.
TOWARDS_GANTRY = {"HFS": SUPERIOR, "HFP": SUPERIOR, "FFS": INFERIOR, "FFP": INFERIOR}

angles = st.floats(0, 360, allow_nan=False)
positions = st.sampled_from(PATIENT_POSITIONS)


@pytest.mark.parametrize(("position", "gantry_deg"), SOURCE)
def test_the_source_stands_where_the_set_up_says(position, gantry_deg):
    frame = beam_frame(ORIGIN, gantry_deg, patient_position=position)
    np.testing.assert_allclose(frame.ez, SOURCE[position, gantry_deg], atol=1e-12)
    np.testing.assert_allclose(frame.source_mm, 1000 * np.array(SOURCE[position, gantry_deg]), atol=1e-9)
    np.testing.assert_allclose(frame.ey, TOWARDS_GANTRY[position], atol=1e-12)


@pytest.mark.parametrize(("gantry_deg", "x_axis"), [(0, LEFT), (90, POSTERIOR), (180, RIGHT), (270, ANTERIOR)])
def test_x_b_turns_with_the_gantry_head_first_supine(gantry_deg, x_axis):
    np.testing.assert_allclose(beam_frame(ORIGIN, gantry_deg).ex, x_axis, atol=1e-12)


def test_collimator_90_lays_x_b_along_the_couch():
    # IEC 61217: positive angles turn the collimator counterclockwise as seen from the source, X_b towards Y_g.
    frame = beam_frame(ORIGIN, 0, collimator_deg=90)
    np.testing.assert_allclose(frame.ex, SUPERIOR, atol=1e-12)
    np.testing.assert_allclose(frame.ey, RIGHT, atol=1e-12)
    np.testing.assert_allclose(frame.ez, ANTERIOR, atol=1e-12)


@pytest.mark.parametrize(
    ("gantry_deg", "couch_deg", "source"),
    [(270, 90, SUPERIOR), (90, 270, SUPERIOR), (90, 90, INFERIOR), (0, 90, ANTERIOR), (180, 270, POSTERIOR)],
    ids=["vertex", "vertex from the other side", "feet", "from above", "from below"],
)
def test_couch_turns_the_patient_under_the_gantry(gantry_deg, couch_deg, source):
    # A vertex field is set up with the couch at 90 and the gantry at 270, or the other way round.
    frame = beam_frame(ORIGIN, gantry_deg, couch_deg=couch_deg)
    np.testing.assert_allclose(frame.ez, source, atol=1e-12)


@given(angles, angles, angles, positions)
def test_axes_are_a_right_handed_orthonormal_triple(gantry, collimator, couch, position):
    frame = beam_frame(ORIGIN, gantry, collimator_deg=collimator, couch_deg=couch, patient_position=position)
    axes = np.stack([frame.ex, frame.ey, frame.ez])
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(np.cross(frame.ex, frame.ey), frame.ez, atol=1e-12)


@given(angles)
def test_the_convention_of_the_reference_doses(gantry):
    # source = R (0, -SAD, 0), BEV = R^T (r - iso), R = [[c, -s, 0], [s, c, 0], [0, 0, 1]]: BEV x is X_b, BEV z is Y_b.
    c, s = np.cos(np.deg2rad(gantry)), np.sin(np.deg2rad(gantry))
    rotation = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
    frame = beam_frame(ORIGIN, gantry)
    np.testing.assert_allclose(frame.source_mm, rotation @ [0, -1000.0, 0], atol=1e-9)
    np.testing.assert_allclose(frame.ex, rotation @ [1.0, 0, 0], atol=1e-12)
    np.testing.assert_allclose(frame.ey, rotation @ [0, 0, 1.0], atol=1e-12)


@given(angles, angles, positions, st.tuples(*[st.floats(-300, 300)] * 2), st.floats(0.2, 1.4), st.floats(700, 1300))
def test_every_point_of_a_ray_projects_to_where_the_ray_meets_the_isocentre_plane(
    gantry, couch, position, uv, part, sad
):
    isocentre = (11.0, -7.0, 23.0)
    frame = beam_frame(isocentre, gantry, couch_deg=couch, sad_mm=sad, patient_position=position)
    on_plane = np.array(isocentre) + uv[0] * frame.ex + uv[1] * frame.ey
    u, v = frame.project((frame.source_mm + part * (on_plane - frame.source_mm))[None])
    np.testing.assert_allclose((u[0], v[0]), uv, atol=1e-7)


def test_a_point_half_way_to_the_source_is_magnified_twice():
    frame = beam_frame(ORIGIN, 0)
    u, v = frame.project(np.array([[10.0, -500.0, -4.0]]))
    assert (u[0], v[0]) == pytest.approx((20.0, -8.0))


def test_an_unknown_patient_position_is_refused_with_the_known_ones():
    with pytest.raises(EngineError, match=r"HFDR.*HFS, HFP, FFS, FFP"):
        beam_frame(ORIGIN, 0, patient_position="HFDR")
