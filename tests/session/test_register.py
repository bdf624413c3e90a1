"""Images registered for a sum, against a deformation that is known, and one that does not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from appliance.builtin.deformation import Bump, Deformation
from appliance.contracts import Case, Identity, Image, SourceObject, Structure, StructureKind
from appliance.errors import NotAccumulated
from appliance.session_register import placed_from_images
from engines.grid import Grid, VoxelSet

GRID = Grid((-57.0, -51.0, -45.0), (3.0, 3.0, 3.0), (31, 35, 39))
DEFORMATION = Deformation((-4.0, 3.0, 2.0), (Bump((15.0, -10.0, 5.0), (4.0, -3.0, 3.0), 25.0),))
"""From the fraction to the anatomy that dose is added up on."""
STILL = Deformation()
BALLS = (((-24.0, 0.0, 8.0), 9.0, 250), ((18.0, -10.0, -8.0), 10.0, -120), ((8.0, 18.0, 10.0), 7.0, 300))


def a_case(deformation: Deformation = STILL, *, half_mm=(45.0, 38.0, 33.0), balls=BALLS) -> Case:
    """An ellipsoid of uneven soft tissue with three balls in it, noise of 5 HU; the day's is the reference's read
    through the deformation."""
    x_mm, y_mm, z_mm = np.broadcast_arrays(
        GRID.axes_mm()[0][None, None, :], GRID.axes_mm()[1][None, :, None], GRID.axes_mm()[2][:, None, None]
    )
    x, y, z = deformation.to_reference(x_mm, y_mm, z_mm)
    body = (x / half_mm[0]) ** 2 + (y / half_mm[1]) ** 2 + (z / half_mm[2]) ** 2 < 1
    hu = np.where(body, 30.0 + 60.0 * np.sin(x / 7) * np.sin(y / 8) * np.sin(z / 9), -1000.0)
    for (a, b, c), radius_mm, value in balls:
        distance = np.sqrt((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2)
        hu += np.where(body, 0.5 * value * (1 - np.tanh((distance - radius_mm) / 3.0)), 0)
    hu += np.where(body, np.random.default_rng(4).normal(0, 5, hu.shape), 0)
    source = SourceObject("1.2", "1.2.3", "1.2.4", "RTSTRUCT", Path("RS.dcm"), "")
    external = Structure(1, "B", "External", StructureKind.EXTERNAL, (), VoxelSet.from_dense(body.astype(np.float32)))
    person = Identity("P-17", "", "", "", "1.2.5", study_date="20260316")
    return Case("d", person, "1.2.9", "HFS", Image(GRID, hu.astype(np.int16)), (external,), (), 0, (), source)


def test_a_deformed_day_is_found_within_the_uncertainty_that_is_stated():
    onto, fraction = a_case(), a_case(DEFORMATION)
    placed = placed_from_images(onto, fraction)
    points = GRID.centres_mm(onto.external.voxels.index)[::40].astype(float)
    there = placed.to_fraction.apply(points)
    back = np.stack(DEFORMATION.to_reference(*there.T), -1)
    error_mm = np.linalg.norm(back - points, axis=-1)
    assert np.median(error_mm) < 1.5
    assert np.percentile(error_mm, 95) < placed.uncertainty_mm
    assert placed.uncertainty_mm >= 3.0
    assert "no person has looked at it" in placed.notes[0] and "20260316" in placed.notes[0]


def test_an_image_of_another_body_is_not_used():
    other = a_case(half_mm=(48.0, 20.0, 18.0), balls=(((0.0, 0.0, 0.0), 14.0, 900),))
    with pytest.raises(NotAccumulated, match="image of 20260316"):
        placed_from_images(a_case(), other)
