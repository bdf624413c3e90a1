"""Ways from one frame of reference to another through registration objects, against maps that are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from appliance.builtin.deformation import Bump, Deformation
from appliance.case.links import Link, link_frames
from appliance.contracts import Identity
from appliance.dicomio.files import save_durable
from appliance.dicomio.registration import (
    RegisteredImage,
    deformable_registration_dataset,
    spatial_registration_dataset,
)
from appliance.dicomio.values import new_uid
from appliance.errors import InconsistentCase, RefusedObject
from engines.grid import Grid
from engines.registration import DisplacementField, RigidTransform

PERSON = Identity("P-17", "Doe^Jane", "19500101", "F", new_uid())
ONE, TWO, THREE, FOUR = (RegisteredImage(PERSON, f"1.2.{n}", ()) for n in (1, 2, 3, 4))
GRID = Grid((-60.0, -60.0, -60.0), (4.0, 4.0, 4.0), (31, 31, 31))
WARP = Deformation((-250.0, 4.0, 30.0), (Bump((10.0, -5.0, 4.0), (8.0, -6.0, 5.0), 22.0),))
"""Frames that lie far apart, as those of two couches do."""
MOTION = RigidTransform.of((-255.0, -3.0, 33.0), (2.0, -1.0, 5.0))
POINTS = np.random.default_rng(2).uniform(-40, 40, (200, 3))


def field(deformation: Deformation = WARP) -> DisplacementField:
    return DisplacementField(GRID, deformation.field_mm(GRID))


def deformable(folder: Path, fixed, moving, name="D.dcm", of: DisplacementField | None = None) -> Path:
    return save_durable(deformable_registration_dataset(of or field(), fixed=fixed, moving=moving), folder / name).path


def rigid(folder: Path, fixed, moving, name="R.dcm", transform: RigidTransform = MOTION) -> Path:
    return save_durable(spatial_registration_dataset(transform, fixed=fixed, moving=moving), folder / name).path


def linked(paths: list[Path], here: RegisteredImage, there: RegisteredImage) -> Link:
    link = link_frames(paths, here.frame_of_reference_uid, there.frame_of_reference_uid)
    assert link is not None
    return link


def warped(points: np.ndarray) -> np.ndarray:
    return np.stack(WARP.to_reference(*points.T), -1)


def test_a_field_is_taken_as_it_is_and_turned_round_where_it_must_be(tmp_path: Path):
    path = deformable(tmp_path, ONE, TWO)
    there = linked([path], ONE, TWO)
    assert np.abs(there.to_there.apply(POINTS) - warped(POINTS)).max() < 0.3
    assert (there.origin, there.residual_mm, there.objects) == ("deformable registration object", 0.0, 1)
    back = linked([path], TWO, ONE)
    assert np.abs(back.to_there.apply(warped(POINTS)) - POINTS).max() < 0.4
    assert back.origin == "deformable registration object, turned round" and 0 <= back.residual_mm < 0.1


def test_a_field_that_folds_cannot_be_turned_round(tmp_path: Path):
    folding = Deformation((0.0, 0.0, 0.0), (Bump((0.0, 0.0, 0.0), (40.0, 0.0, 0.0), 12.0),))
    path = deformable(tmp_path, ONE, TWO, of=field(folding))
    assert linked([path], ONE, TWO).objects == 1
    with pytest.raises(RefusedObject, match="so it folds") as refusal:
        linked([path], TWO, ONE)
    assert refusal.value.fields["rule"] == "registration.direction"


@pytest.mark.parametrize("first", ["rigid", "deformable"])
@pytest.mark.parametrize("then", ["rigid", "deformable"])
def test_two_objects_lead_through_the_image_between(first: str, then: str, tmp_path: Path):
    """Each in the order that a session writes them: from the day to the reference, so the second is turned round."""
    write = {"rigid": rigid, "deformable": deformable}
    paths = [write[first](tmp_path, ONE, TWO, "a.dcm"), write[then](tmp_path, THREE, TWO, "b.dcm")]
    through = warped(POINTS) if first == "deformable" else MOTION.apply(POINTS)
    link = linked(paths, ONE, THREE)
    found = link.to_there.apply(POINTS)
    again = warped(found) if then == "deformable" else MOTION.apply(found)
    assert np.abs(again - through).max() < (1e-3 if (first, then) == ("rigid", "rigid") else 0.5)
    assert link.objects == 2 and "through another image" in link.origin


def test_a_direct_way_goes_first_and_a_field_before_a_matrix(tmp_path: Path):
    paths = [deformable(tmp_path, ONE, TWO, "a.dcm"), rigid(tmp_path, ONE, TWO, "b.dcm")]
    paths += [rigid(tmp_path, ONE, THREE, "c.dcm"), rigid(tmp_path, THREE, TWO, "d.dcm")]
    link = linked(paths, ONE, TWO)
    assert link.objects == 1 and link.origin == "deformable registration object"
    assert "deformable one was used" in link.notes[0]


def test_several_ways_are_refused_and_no_way_is_none(tmp_path: Path):
    a, b = deformable(tmp_path, ONE, TWO, "a.dcm"), deformable(tmp_path, TWO, ONE, "b.dcm")
    with pytest.raises(InconsistentCase, match="of one kind join"):
        link_frames([a, b], "1.2.1", "1.2.2")
    through = [rigid(tmp_path, ONE, THREE, "c.dcm"), rigid(tmp_path, THREE, TWO, "d.dcm")]
    through += [rigid(tmp_path, ONE, FOUR, "e.dcm"), rigid(tmp_path, FOUR, TWO, "f.dcm")]
    with pytest.raises(InconsistentCase, match="through 2 other images"):
        link_frames(through, "1.2.1", "1.2.2")
    assert link_frames([a], "1.2.1", "1.2.3") is None
    assert link_frames([], "1.2.1", "1.2.2") is None
