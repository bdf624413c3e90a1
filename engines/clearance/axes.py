"""Where the gantry stands, as unit vectors in patient LPS, at every step of a beam's way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.photon.frame import beam_frame

Array = NDArray[np.float64]
TURN_STEP_DEG = 2.0
"""Positions in between are added where gantry or couch turn by more (chosen: 2 degrees move the edge of a head of 400
mm by 14 mm at most, and the control points of an arc are usually as close)."""


@dataclass(frozen=True, eq=False)
class Turn:
    """m positions: control_point (m,) the one at or before which each lies, gantry_deg and couch_deg (m,)."""

    control_point: NDArray[np.int64]
    gantry_deg: Array
    couch_deg: Array


def swept(gantry_deg: Array, couch_deg: Array) -> Turn:
    """Positions of a beam with n control points, in steps of at most TURN_STEP_DEG; angles (n,) followed without a jump
    at 360. Where nothing turns there is one position. Raises EngineError for arrays that do not fit."""
    if gantry_deg.shape != couch_deg.shape or gantry_deg.ndim != 1 or not gantry_deg.size:
        raise EngineError("gantry and couch need one angle each for every control point")
    turn = np.maximum(np.abs(np.diff(gantry_deg)), np.abs(np.diff(couch_deg)))
    counts = np.ceil(turn / TURN_STEP_DEG - 1e-9).astype(np.int64)
    before = np.repeat(np.arange(counts.size), counts)
    within = np.arange(before.size) - np.repeat(np.cumsum(counts) - counts, counts) + 1
    part = within / counts[before]
    first = np.zeros(1, np.int64)
    gantry = gantry_deg[before] + part * np.diff(gantry_deg)[before]
    couch = couch_deg[before] + part * np.diff(couch_deg)[before]
    reached = before + (within == counts[before])
    return Turn(
        np.concatenate([first, reached]),
        np.concatenate([gantry_deg[:1], gantry]),
        np.concatenate([couch_deg[:1], couch]),
    )


def gantry_axes(gantry_deg: Array, couch_deg: Array, patient_position: str) -> tuple[Array, Array]:
    """(beam_axes, gantry_axes), each (m, 3) unit vectors in LPS: towards the source, and along the gantry's axis
    towards the gantry (IEC 61217 Y of the fixed system), for angles (m,). Raises EngineError for an unknown patient
    position."""
    base = beam_frame((0.0, 0.0, 0.0), 0.0, patient_position=patient_position)
    phi, psi = np.deg2rad(gantry_deg), np.deg2rad(couch_deg)
    # fixed to table: turned back by the couch about the vertical, as in `beam_frame`
    x, y = np.cos(psi) * np.sin(phi), -np.sin(psi) * np.sin(phi)
    beam = x[:, None] * base.ex + y[:, None] * base.ey + np.cos(phi)[:, None] * base.ez
    gantry = np.sin(psi)[:, None] * base.ex + np.cos(psi)[:, None] * base.ey
    return beam, gantry
