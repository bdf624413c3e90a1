"""An anatomy in the order of the network's axes, as the kernels take it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.dose_features.anatomy import Anatomy, Mask

PLAN_UNIT_GY = 70.0
"""Quick plans are made as if the highest prescription were 70 Gy, whatever it is: their weights were chosen there."""
NO_LEVEL = 255
ORGAN, BY_MEAN, BY_MAXIMUM = 1, 2, 4
"""Bits of `kind`, as in kernels/beam_math.h."""

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Volumes:
    """Arrays (inferior, posterior, left). asked: the highest prescription of a voxel in units of PLAN_UNIT_GY / highest
    prescription, 0 outside targets; level: that target's level, NO_LEVEL outside; kind: how quick plans treat an organ.
    z, y, x: voxel centres, mm from the isocentre, which is the centre of all target voxels where dose is possible."""

    possible: Bytes
    asked: Floats
    level: Bytes
    kind: Bytes
    z: Floats
    y: Floats
    x: Floats

    @staticmethod
    def of(anatomy: Anatomy) -> Volumes:
        asked, level = np.zeros(anatomy.shape, np.float32), np.full(anatomy.shape, NO_LEVEL, np.uint8)
        for gy, mask in sorted(anatomy.targets, key=lambda target: target[0]):
            flipped = mask[::-1]
            asked[flipped] = gy * (PLAN_UNIT_GY / anatomy.unit_gy)
            level[flipped] = anatomy.level_of(gy)
        possible = np.ascontiguousarray(anatomy.possible[::-1])
        target = np.nonzero(possible & (level != NO_LEVEL))
        # In float32 but for the mean, as the training's code has it (models/dose/features.py).
        axes = [
            np.arange(side, dtype=np.float32) * np.float32(step)
            for side, step in zip(anatomy.shape, anatomy.spacing_mm, strict=True)
        ]
        z, y, x = (
            axis - np.float32(axis[index].mean(dtype=np.float64)) for axis, index in zip(axes, target, strict=True)
        )
        return Volumes(possible.view(np.uint8), asked, level, _kind(anatomy), z, y, x)


def _kind(anatomy: Anatomy) -> Bytes:
    layout, kind = anatomy.layout, np.zeros(anatomy.shape, np.uint8)
    for bit, names in ((ORGAN, layout.organs), (BY_MEAN, layout.by_mean), (BY_MAXIMUM, layout.by_maximum)):
        for name in names:
            if name in anatomy.organs:
                kind |= anatomy.organs[name][::-1].view(np.uint8) * np.uint8(bit)
    return kind


def organ_channels(anatomy: Anatomy) -> dict[str, Mask]:
    """Masks (z, y, x) by channel: organs, targets by level, and "other"."""
    layout = anatomy.layout
    made: dict[str, Mask] = {name: mask for name, mask in anatomy.organs.items() if name in layout.organs}
    named = [(f"target_{100 * layout.levels[anatomy.level_of(gy)]:g}", mask) for gy, mask in anatomy.targets]
    named += [("other", mask) for name, mask in anatomy.organs.items() if name not in layout.organs]
    for name, mask in named:
        made[name] = made[name] | mask if name in made else mask
    return made


def beam_axes(gantry_deg: tuple[float, ...]) -> Floats:
    """(beams, 4): from the isocentre to the source and along the fluence map's u, each (posterior, left)."""
    angle = np.array(gantry_deg, np.float32) * np.float32(np.pi / 180)
    sin, cos = (function(angle.astype(np.float64)).astype(np.float32) for function in (np.sin, np.cos))
    return np.ascontiguousarray(np.stack([-cos, sin, sin, cos], axis=1))
