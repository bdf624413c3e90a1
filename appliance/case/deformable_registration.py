"""A Deformable Spatial Registration object as a displacement field (PS3.3 C.20.3).

C.20.3.1.1, equation C.20.3-1: a point x of the object's own frame (Registered RCS) is sampled in the Source RCS at

    x_source = M_post (M_pre x + delta(x))

with delta given at the grid's points x_ijk = position + i r_x row + j r_y column + k r_z (row x column), x fastest. So
the field of the whole map, u(x) = M_post (M_pre x + delta(x)) - x, is known at the same points; matrices are affine, so
it is trilinear between them where delta is, and nothing is resampled. Vectors are in patient coordinates whichever way
the grid runs.

Some systems look delta up at M_pre x instead of x. Both readings are compared, and where they differ a note says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import DeformableSpatialRegistrationStorage

from appliance.case.attributes import items, numbers, refused, required_text, text
from appliance.case.planes import axial_signs
from appliance.case.spatial_registration import Matrix, rigid_matrix
from appliance.dicomio.read import read_dataset
from engines.grid import Grid
from engines.registration import DisplacementField

WHAT = "The deformable registration object"

SAME_READING_MM = 0.5
"""Difference of both readings of a matrix before the deformation that is not worth a note (chosen: a quarter of a
dose voxel)."""

TWO_READINGS = (
    "The registration object has a matrix before its deformation, which systems read in two ways that differ by up to "
    "{apart_mm:.1f} mm here; it was read as the standard's equation says: check it, or export it without that matrix"
)


@dataclass(frozen=True, eq=False)
class DeformableReading:
    """field: from points of the object's frame to the source's. notes: sentences a person must know."""

    field: DisplacementField
    notes: tuple[str, ...] = ()


def read_deformable(path: Path, from_frame: str, to_frame: str) -> DeformableReading | None:
    """The field that takes points of `from_frame`, the object's own, to `to_frame`, a source's (Frame of Reference
    UIDs); None if the object does not speak of both, this way round: a field is not its inverse (`links`).

    Raises RefusedObject: `registration.class`; `registration.several` for two items of one source frame or two grids;
    `registration.grid` for an item without vectors or with vectors that do not fill it; `registration.undefined` where
    vectors are NaN; `registration.kind` for a matrix that is not rigid; `geometry.orientation` for an oblique grid;
    `attribute.*`."""
    dataset = read_dataset(path, what=WHAT)
    if text(dataset, "SOPClassUID") != str(DeformableSpatialRegistrationStorage):
        raise refused(WHAT, "it is no deformable registration", "registration.class", "Send a deformable registration")
    own = required_text(dataset, "FrameOfReferenceUID", WHAT)
    sources = items(dataset, "DeformableRegistrationSequence")
    found = [item for item in sources if text(item, "SourceFrameOfReferenceUID") == to_frame]
    if own != from_frame or not found:
        return None
    if len(found) > 1:
        raise _several(f"it holds {len(found)} registrations of one frame of reference")
    return _reading(found[0])


def _reading(item: Dataset) -> DeformableReading:
    grids = items(item, "DeformableRegistrationGridSequence")
    if not grids:
        raise refused(
            WHAT, "it holds no vectors", "registration.grid", "Send a rigid one as a spatial registration object"
        )
    if len(grids) > 1:
        raise _several(f"it holds {len(grids)} grids of vectors for one image")
    delta = _delta(grids[0])
    before = _matrix(item, "PreDeformationMatrixRegistrationSequence")
    after = _matrix(item, "PostDeformationMatrixRegistrationSequence")
    if before is None and after is None:
        return DeformableReading(delta)
    first, last = (np.eye(4) if matrix is None else matrix for matrix in (before, after))
    return DeformableReading(_whole(delta, first, last), () if before is None else _doubt(delta, before))


def _matrix(item: Dataset, keyword: str) -> Matrix | None:
    steps = items(item, keyword)
    if len(steps) > 1:
        raise _several("it holds a chain of matrices before or after its deformation")
    return rigid_matrix(steps[0], WHAT) if steps else None


def _delta(item: Dataset) -> DisplacementField:
    """The vectors of one grid, turned so that its indices grow towards left, posterior and superior."""
    count = numbers(item, "GridDimensions", 3, WHAT)
    step = numbers(item, "GridResolution", 3, WHAT)
    start = numbers(item, "ImagePositionPatient", 3, WHAT)
    rows, columns = axial_signs(numbers(item, "ImageOrientationPatient", 6, WHAT), WHAT)
    if min(step) <= 0 or min(count) < 1:
        raise refused(WHAT, "its grid has no points", "registration.grid")
    shape = (int(count[2]), int(count[1]), int(count[0]))
    data = item.get("VectorGridData")
    if not isinstance(data, bytes) or len(data) != 12 * shape[0] * shape[1] * shape[2]:
        raise refused(WHAT, "its vectors do not fill its grid", "registration.grid")
    vectors = np.frombuffer(data, "<f4").reshape(*shape, 3)
    if not np.isfinite(vectors).all():
        raise refused(
            WHAT,
            "it is undefined at points of its grid",
            "registration.undefined",
            "Export it for a smaller region, on which it is defined everywhere",
        )
    signs = (rows, columns, rows * columns)
    x, y, z = (
        first if sign > 0 else first - (n - 1) * size
        for first, sign, n, size in zip(start, signs, shape[::-1], step, strict=True)
    )
    upright = np.ascontiguousarray(vectors[:: signs[2], :: signs[1], :: signs[0]], np.float32)
    return DisplacementField(Grid((x, y, z), (step[0], step[1], step[2]), shape), upright)


def _points(grid: Grid) -> NDArray[np.float64]:
    """Voxel centres (z, y, x, 3)."""
    return grid.centres_mm(np.arange(grid.size)).astype(np.float64).reshape(*grid.shape, 3)


def _moved(matrix: Matrix, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(points_mm @ matrix[:3, :3].T + matrix[:3, 3], np.float64)


def _whole(delta: DisplacementField, before: Matrix, after: Matrix) -> DisplacementField:
    points_mm = _points(delta.grid)
    there_mm = _moved(after, _moved(before, points_mm) + delta.displacement_mm)
    return DisplacementField(delta.grid, np.asarray(there_mm - points_mm, np.float32))


def _doubt(delta: DisplacementField, before: Matrix) -> tuple[str, ...]:
    elsewhere = delta.at(_moved(before, _points(delta.grid)))
    apart_mm = float(np.linalg.norm(elsewhere - delta.displacement_mm, axis=-1).max())
    return (TWO_READINGS.format(apart_mm=apart_mm),) if apart_mm > SAME_READING_MM else ()


def _several(reason: str) -> Exception:
    return refused(WHAT, reason, "registration.several", "Send one that joins the two images directly")
