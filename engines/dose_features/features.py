"""The input of a dose network: one volume a fact, from masks, CT, distances and what a site's beams can do.

The same numbers as models/dose/features.py, which makes them with PyTorch for the training; here nothing but NumPy and
our own kernels is needed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.dose_features import plain
from engines.dose_features.anatomy import Anatomy, Mask

CT_UNIT_HU, CT_HIGHEST = 1000.0, 1.5
DISTANCE_LIMIT_MM, DISTANCE_UNIT_MM, INSIDE_LIMIT_MM = 60.0, 30.0, 30.0
SPACING_UNIT_MM = 4.0
PLAN_UNIT_GY = 70.0
"""Quick plans are made as if the highest prescription were 70 Gy, whatever it is: their weights were chosen there."""


@dataclass(frozen=True, eq=False)
class Features:
    """tensor: float32 (channels, inferior, posterior, left), sides padded with zeros behind the patient where asked
    for; zero where dose is impossible. channels: their names. unit_gy: the dose that the network's 1 stands for.
    shape: (z, y, x) of the anatomy."""

    tensor: NDArray[np.float32]
    channels: tuple[str, ...]
    unit_gy: float
    shape: tuple[int, int, int]

    def channel(self, name: str) -> NDArray[np.float32]:
        """(inferior, posterior, left). Raises ValueError for a name that is none."""
        one: NDArray[np.float32] = self.tensor[self.channels.index(name)]
        return one

    def to_image(self, volume: NDArray[np.float32]) -> NDArray[np.float32]:
        """(z, y, x) of a volume (..., inferior, posterior, left) as the network gives it, padding cut off."""
        nz, ny, nx = self.shape
        return np.ascontiguousarray(volume[..., :nz, :ny, :nx][..., ::-1, :, :])


def features(anatomy: Anatomy, *, multiple: int = 1, threads: int = 0) -> Features:
    """All channels of the anatomy's layout. multiple: sides are padded up to multiples of it (the network wants 16).
    threads: 0 means all that OpenMP gives."""
    layout, names = anatomy.layout, anatomy.layout.channels
    nz, ny, nx = anatomy.shape
    made = np.zeros((len(names), *(side + -side % multiple for side in anatomy.shape)), np.float32)
    inner = made[:, :nz, :ny, :nx]
    at = names.index
    flip = np.s_[::-1]
    possible = anatomy.possible[flip]
    inner[0] = possible
    for name, mask in _organ_channels(anatomy).items():
        inner[at(name)] = mask[flip]
    if anatomy.ct_hu is not None:
        inner[at("ct")] = np.clip(anatomy.ct_hu[flip] / CT_UNIT_HU, -1.0, CT_HIGHEST)
        inner[at("has_ct")] = 1
    asked, level = (volume[flip] for volume in _asked(anatomy))
    inner[at("prescribed")] = asked / PLAN_UNIT_GY
    spacing, first = anatomy.spacing_mm, at("prescribed") + 1
    for n in range(3):
        inner[first + n] = plain.distance_mm(level <= n, spacing, DISTANCE_LIMIT_MM) / DISTANCE_UNIT_MM
    inner[first + 3] = plain.distance_mm(level > 2, spacing, INSIDE_LIMIT_MM) / DISTANCE_UNIT_MM
    inner[at("spacing")] = spacing[1] / SPACING_UNIT_MM
    _beam_channels(anatomy, inner, asked, level)
    inner *= possible
    return Features(made, names, anatomy.unit_gy, anatomy.shape)


def _organ_channels(anatomy: Anatomy) -> dict[str, Mask]:
    """Masks (z, y, x) by channel: organs, targets by level, and "other"."""
    layout = anatomy.layout
    made: dict[str, Mask] = {name: mask for name, mask in anatomy.organs.items() if name in layout.organs}
    named = [(f"target_{100 * layout.levels[anatomy.level_of(gy)]:g}", mask) for gy, mask in anatomy.targets]
    named += [("other", mask) for name, mask in anatomy.organs.items() if name not in layout.organs]
    for name, mask in named:
        made[name] = made[name] | mask if name in made else mask
    return made


def _asked(anatomy: Anatomy) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """(z, y, x): highest prescription with the patient's highest as PLAN_UNIT_GY, 0 outside targets; its level, 255
    outside targets."""
    asked, level = np.zeros(anatomy.shape, np.float32), np.full(anatomy.shape, 255, np.uint8)
    for gy, mask in sorted(anatomy.targets, key=lambda target: target[0]):
        asked[mask] = gy * (PLAN_UNIT_GY / anatomy.unit_gy)
        level[mask] = anatomy.level_of(gy)
    return asked, level


def _beam_channels(
    anatomy: Anatomy, out: NDArray[np.float32], asked: NDArray[np.float32], level: NDArray[np.uint8]
) -> None:
    layout, names = anatomy.layout, anatomy.layout.channels
    possible = anatomy.possible[::-1]
    index = np.flatnonzero(possible)
    spacing = np.array(anatomy.spacing_mm, np.float32)
    at = np.stack(np.unravel_index(index, anatomy.shape), 1).astype(np.float32) * spacing
    asked, level = asked.reshape(-1)[index], level.reshape(-1)[index]
    centre = at[asked > 0].mean(0, dtype=np.float64).astype(np.float32)
    beams = plain.Beams(at - centre, layout.gantry_deg, possible.astype(np.float32), spacing, centre)
    kinds = np.zeros(len(index), np.uint8)
    for bit, group in ((1, layout.organs), (2, layout.by_mean), (4, layout.by_maximum)):
        for name in set(group) & set(anatomy.organs):
            kinds |= np.uint8(bit) * anatomy.organs[name][::-1].reshape(-1)[index]

    def put(name: str, values: NDArray[np.floating]) -> None:
        out[names.index(name)][possible] = values

    first = names.index("prescribed") + 5
    for n in range(3):
        near = level <= n
        if near.any():
            each = beams.each(beams.shadow(near))
            out[first + n][possible] = each.sum(0) / each.sum(0)[near].mean()
    put("beams_seen", (each > 0.5 * beams.weight).mean(0))
    plans = plain.quick_plans(beams, asked, kinds, plain.hashed(anatomy.shape, index))
    for n, fluence in enumerate(plans):
        each = beams.each(fluence)
        put(f"plan_{n}", each.sum(0) / PLAN_UNIT_GY)
        if n == 1:
            put("largest_beam", len(layout.gantry_deg) / 3 * each.max(0) / PLAN_UNIT_GY)
