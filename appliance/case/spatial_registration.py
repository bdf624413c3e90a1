"""A Spatial Registration object: how two frames of reference lie to each other (PS3.3 C.20.2)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import SpatialRegistrationStorage

from appliance.case.attributes import items, numbers, refused, required_text, text
from appliance.dicomio.read import read_dataset

WHAT = "The registration object"

Matrix = NDArray[np.float64]


def read_registration(path: Path, from_frame: str, to_frame: str) -> Matrix | None:
    """(4, 4) homogeneous matrix, LPS mm, that takes points of `from_frame` to `to_frame` (Frame of Reference UIDs);
    None if the object does not speak of both.

    Each registered frame has a matrix to the frame of the object itself, which needs none. Raises RefusedObject
    `registration.class`, `registration.kind` for one that is not rigid, `registration.several` for a chain of matrices
    or two of one frame, `attribute.*` for one that cannot be read."""
    dataset = read_dataset(path, what=WHAT)
    if text(dataset, "SOPClassUID") != str(SpatialRegistrationStorage):
        raise refused(WHAT, "it is no spatial registration", "registration.class", "Send a rigid spatial registration")
    common = required_text(dataset, "FrameOfReferenceUID", WHAT)
    to_common: dict[str, Matrix] = {}
    for item in items(dataset, "RegistrationSequence"):
        frame = text(item, "FrameOfReferenceUID")
        if frame in to_common:
            raise _several()
        if frame:
            to_common[frame] = _matrix(item)
    to_common.setdefault(common, np.eye(4))
    if from_frame not in to_common or to_frame not in to_common:
        return None
    return np.asarray(np.linalg.inv(to_common[to_frame]) @ to_common[from_frame], np.float64)


def _matrix(item: Dataset) -> Matrix:
    chains = [chain for entry in items(item, "MatrixRegistrationSequence") for chain in items(entry, "MatrixSequence")]
    if len(chains) != 1:
        raise _several()
    return rigid_matrix(chains[0], WHAT)


def rigid_matrix(item: Dataset, what: str) -> Matrix:
    """(4, 4) of an item that holds a matrix and its kind. Raises RefusedObject `registration.kind`, `attribute.*`."""
    kind = text(item, "FrameOfReferenceTransformationMatrixType")
    if kind != "RIGID":
        raise refused(
            what, f"its matrix is {kind or 'of no stated kind'}, not RIGID", "registration.kind", "Send a rigid one"
        )
    values = numbers(item, "FrameOfReferenceTransformationMatrix", 16, what)
    matrix = np.asarray(values, np.float64).reshape(4, 4)
    rotation = matrix[:3, :3]
    is_rigid = np.allclose(rotation @ rotation.T, np.eye(3), rtol=0, atol=1e-3) and np.linalg.det(rotation) > 0
    if not is_rigid or not np.allclose(matrix[3], (0, 0, 0, 1)):
        raise refused(what, "its matrix is called RIGID and is not", "registration.kind", "Send a rigid one")
    # Decimals that a system rounded away: the nearest rotation is what was meant.
    left, _, right = np.linalg.svd(rotation)
    matrix[:3, :3], matrix[3] = left @ right, (0, 0, 0, 1)
    return matrix


def _several() -> Exception:
    return refused(
        WHAT,
        "it does not hold exactly one matrix for each frame of reference",
        "registration.several",
        "Send one that joins the two images directly",
    )
