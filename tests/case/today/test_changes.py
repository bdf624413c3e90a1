"""What changed beyond set-up, on either side of each limit: boxes of voxels of 2 mm."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.case.today.changes import changes_of
from appliance.contracts import Image, Structure, StructureKind
from appliance.contracts.anatomy import ReferenceToday, StructureChange
from appliance.contracts.origin import ContourOrigin, Origin
from engines.grid import Grid, VoxelSet

GRID = Grid((0.0, 0.0, 0.0), (2.0, 2.0, 2.0), (16, 16, 32))
TARGET, ORGAN = StructureKind.TARGET, StructureKind.ORGAN


def box(width: int = 10, *, first: int = 8, side: int = 10, share: float = 1.0) -> VoxelSet:
    """width voxels along x from `first`, side voxels along y and z; 10 by 10 by 10 are 8 cm³."""
    dense = np.zeros(GRID.shape, np.float32)
    dense[3 : 3 + side, 3 : 3 + side, first : first + width] = share
    return VoxelSet.from_dense(dense)


def structure(voxels: VoxelSet, kind: StructureKind = TARGET, name: str = "PTV", **more: object) -> Structure:
    return Structure(1, name, name, kind, (), voxels, **more)  # type: ignore[arg-type]


def laid(*structures: Structure) -> ReferenceToday:
    return ReferenceToday(Image(GRID, np.zeros(GRID.shape, np.int16)), structures)


def change(before: VoxelSet, after: VoxelSet, kind: StructureKind = TARGET) -> StructureChange:
    (found,) = changes_of([structure(after, kind)], laid(structure(before, kind)), {})
    return found


@pytest.mark.parametrize(
    ("kind", "width", "flags"),
    [
        (TARGET, 10, ()),
        (TARGET, 12, ()),  # by 20 %, and not by more
        (TARGET, 13, ("PTV is 30% larger than in the reference",)),
        (TARGET, 8, ()),
        (TARGET, 7, ("PTV is 30% smaller than in the reference",)),
        (ORGAN, 12, ()),
        (ORGAN, 14, ("PTV is 40% larger than in the reference",)),
        (ORGAN, 8, ()),
        (ORGAN, 6, ("PTV is 40% smaller than in the reference",)),
    ],
)
def test_volumes(kind, width, flags):
    found = change(box(), box(width), kind)
    assert found.flags == flags
    assert (found.reference_cc, found.today_cc) == (pytest.approx(8.0), pytest.approx(0.8 * width))


@pytest.mark.parametrize(
    ("voxels", "flags"),
    [
        (2, ()),
        (3, ("PTV lies 6.0 mm from where set-up alone would bring it",)),
        (
            5,
            (
                "PTV lies 10.0 mm from where set-up alone would bring it",
                "The surface of PTV lies up to 10.0 mm (95 %) from the reference's",
            ),
        ),
    ],
)
def test_places(voxels, flags):
    found = change(box(), box(first=8 + voxels))
    assert found.flags == flags
    assert found.centroid_mm == pytest.approx((2.0 * voxels, 0.0, 0.0), abs=1e-9)
    assert found.dice == pytest.approx(1 - voxels / 10)
    assert found.surface_95_mm == pytest.approx(2.0 * voxels)


def test_the_volume_of_a_few_voxels_says_nothing_in_percent():
    found = change(box(2, side=2), box(4, side=2))
    assert (found.reference_cc, found.today_cc) == (pytest.approx(0.064), pytest.approx(0.128))
    assert found.flags == ()


def test_only_targets_and_organs_of_both_days_are_compared():
    """Not the body, not what only one day has, not what is too thin for a voxel that is half inside."""
    given = (
        structure(box(), StructureKind.EXTERNAL, "External"),
        structure(box(), StructureKind.OTHER, "Bolus"),
        structure(box(share=0.4), ORGAN, "OpticNrv_L"),
        structure(box(), ORGAN, "Parotid_L"),
        structure(box(), TARGET, "PTV"),
    )
    before = laid(*given[:4], structure(box(), ORGAN, "Parotid_R"))
    assert [one.structure for one in changes_of(given, before, {})] == ["Parotid_L"]


def test_where_a_contour_comes_from_and_how_alike_the_images_are_is_told():
    origin = ContourOrigin(Origin.PROPAGATED_RIGID, "rigid")
    given = (structure(box(), TARGET, "PTV", origin=origin), structure(box(), ORGAN, "Cord"))
    target, cord = changes_of(given, laid(*given), {"PTV": 0.93})
    assert (target.origin, target.similarity) == ("propagated_rigid", 0.93)
    assert (cord.origin, cord.similarity) == ("received", None)
