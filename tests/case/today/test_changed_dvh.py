"""Histograms after an edit: of what changed, and the same that an evaluation makes."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.case.today.changed_dvh import changed_dvhs
from appliance.case.today.editing import ContourDesk
from appliance.contracts import Contour, Structure, StructureKind
from appliance.contracts.contour_edit import AddPolygon
from engines.grid import Grid, rasterise

GRID = Grid((0.0, 0.0, 0.0), (2.0, 2.0, 5.0), (4, 30, 30))


def square(number, name, kind, x0, x1, slices=(1,)):
    loop = np.array([[x0, x0], [x1, x0], [x1, x1], [x0, x1]], float)
    contours = tuple(Contour(5.0 * index, loop) for index in slices)
    return Structure(number, name, name, kind, contours, rasterise({5.0 * i: [loop] for i in slices}, GRID))


@pytest.fixture
def desk():
    body = square(1, "External", StructureKind.EXTERNAL, 1, 57, (0, 1, 2, 3))
    return ContourDesk(
        (body, square(2, "Cord", StructureKind.ORGAN, 11, 21), square(3, "Couch", StructureKind.SUPPORT, 41, 51)), GRID
    )


def test_the_curve_of_what_changed_by_hand(desk):
    """10 x 10 mm at 10 Gy; 10 x 10 mm at 30 Gy are added."""
    dose_gy = np.full(GRID.shape, 10.0, np.float32)
    dose_gy[:, :, 11:] = 30.0
    change = desk.apply(AddPolygon("Cord", 5.0, ((21, 11), (31, 11), (31, 21), (21, 21))))
    found = changed_dvhs(change, dose_gy, GRID)
    (curve,) = found.curves
    assert (curve.structure, found.without) == ("Cord", ())
    assert curve.volume_cc == pytest.approx(1.0)
    assert (curve.min_gy, curve.max_gy, curve.mean_gy) == pytest.approx((10.0, 30.0, 20.0))
    at = dict(zip(curve.dose_gy, curve.volume_percent, strict=True))
    assert (at[0.0], at[10.0], at[10.1], at[30.0], at[30.1]) == pytest.approx((100.0, 100.0, 50.0, 50.0, 0.0), abs=0.1)


def test_supports_and_what_reaches_beyond_the_dose_have_none(desk):
    dose_gy = np.full(GRID.shape, np.nan, np.float32)
    for name in ("Couch", "Cord"):
        change = desk.apply(AddPolygon(name, 5.0, ((21, 11), (31, 11), (31, 21), (21, 21))))
        assert changed_dvhs(change, dose_gy, GRID).without == (name,)
