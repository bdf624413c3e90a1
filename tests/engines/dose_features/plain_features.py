"""The beams' channels from the plain NumPy version."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.dose_features import Anatomy
from engines.dose_features.volumes import Volumes

_spec = importlib.util.spec_from_file_location("plain", Path(__file__).with_name("plain.py"))
plain = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(plain)


def beam_channels(anatomy: Anatomy) -> NDArray[np.float32]:
    """(8, inferior, posterior, left): open fields, beams seen, plans, largest beam."""
    v = Volumes.of(anatomy)
    index = np.flatnonzero(v.possible)
    iz, iy, ix = np.unravel_index(index, anatomy.shape)
    at = np.stack([v.z[iz], v.y[iy], v.x[ix]], 1)
    gantry = anatomy.layout.gantry_deg
    body = v.possible.astype(np.float32)
    centre = -np.array([v.z[0], v.y[0], v.x[0]])
    beams = plain.Beams(at, gantry, body, np.float32(anatomy.spacing_mm), centre)
    asked, level, kinds = (volume.reshape(-1)[index] for volume in (v.asked, v.level, v.kind))
    made = np.zeros((8, body.size), np.float32)
    for n in range(3):
        near = level <= n
        each = beams.each(beams.shadow(near))
        if near.any():
            made[n, index] = each.sum(0) / each.sum(0)[near].mean()
    made[3, index] = (each > 0.5 * beams.weight).mean(0)
    for n, fluence in enumerate(plain.quick_plans(beams, asked, kinds, plain.hashed(anatomy.shape, index))):
        each = beams.each(fluence)
        made[4 + n, index] = each.sum(0) / 70
        if n == 1:
            made[7, index] = len(gantry) / 3 * each.max(0) / 70
    return made.reshape(8, *anatomy.shape)
