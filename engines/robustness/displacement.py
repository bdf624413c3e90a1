"""A patient who lies elsewhere than planned, as a rigid displacement: turned about the isocentre, then shifted.

A point p of the planned anatomy comes to stand at R (p - c) + c + s. Instead of the patient, who is an image, the beams
are moved the other way: their dose on the planned anatomy is then the dose in the displaced patient, density included.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from engines.photon.frame import BeamFrame

Vector3 = tuple[float, float, float]


def rotation(degrees: Vector3) -> NDArray[np.float64]:
    """Matrix (3, 3) of a turn about the LPS axes x, then y, then z, right-handed."""
    (ca, cb, cc), (sa, sb, sc) = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    about_x = np.array([[1, 0, 0], [0, ca, -sa], [0, sa, ca]])
    about_y = np.array([[cb, 0, sb], [0, 1, 0], [-sb, 0, cb]])
    about_z = np.array([[cc, -sc, 0], [sc, cc, 0], [0, 0, 1]])
    return np.asarray(about_z @ about_y @ about_x, np.float64)


def moved_points(
    points_mm: NDArray[np.floating], shift_mm: Vector3, degrees: Vector3, centre_mm: Vector3
) -> NDArray[np.float64]:
    """Where points (n, 3) LPS of the planned anatomy stand in the room."""
    centre = np.asarray(centre_mm, np.float64)
    offset = np.asarray(points_mm, np.float64) - centre
    return np.asarray(offset @ rotation(degrees).T + centre + np.asarray(shift_mm, np.float64))


def moved_frame(frame: BeamFrame, shift_mm: Vector3, degrees: Vector3, centre_mm: Vector3) -> BeamFrame:
    """The beam as the displaced patient sees it, in the coordinates of the planned anatomy."""
    turn, centre = rotation(degrees), np.asarray(centre_mm, np.float64)
    back = turn.T @ (np.asarray(frame.isocentre_mm) - centre - np.asarray(shift_mm, np.float64)) + centre
    isocentre = (float(back[0]), float(back[1]), float(back[2]))
    return replace(frame, isocentre_mm=isocentre, ex=turn.T @ frame.ex, ey=turn.T @ frame.ey, ez=turn.T @ frame.ez)
