"""Where a curve's points lie: in beam coordinates, and in a water tank under a vertical beam."""

from __future__ import annotations

import numpy as np

from appliance.commissioning.curves import SINGLE_POINT, Array, Curve, Kind


def beam_points_mm(curve: Curve) -> Array:
    """(n, 3): x and y across the beam at the point's own depth, and depth below the surface, mm."""
    at = curve.positions_mm
    points = np.zeros((at.size, 3))
    if curve.kind is Kind.PROFILE:
        points[:, 2] = curve.depth_mm
        if curve.axis == "D":
            points[:, :2] = at[:, None] / np.sqrt(2.0)
        else:
            points[:, "XY".index(curve.axis)] = at
    else:
        points[:, 2] = curve.depth_mm if curve.kind in SINGLE_POINT else at
    return points


def surface_mm(curve: Curve, sad_mm: float) -> Array:
    """(n,) source-surface distance of each point: with a tissue-phantom ratio the detector stays at the isocentre and
    the surface moves."""
    if curve.kind is Kind.TISSUE_PHANTOM_RATIO:
        return np.asarray(sad_mm - curve.positions_mm, np.float64)
    return np.full(curve.positions_mm.shape, curve.ssd_mm)
