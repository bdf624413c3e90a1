"""Patients as the network meets them in training: shifted, mirrored, turned as nine beams turn into each other.

Mirrored left to right, gantry angles 0, 40, ... 320 degrees are the same set again, and so they are turned by multiples
of 40 degrees about the patient's long axis: a plan of the turned patient is the turned plan. In-plane voxels are
square, so a turn needs no voxel size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from .data import ORGANS
from .features import CHANNELS, CT, HAS_CT, POSSIBLE, RIGHT_LEFT
from .network import INPUTS

TURN_DEG, TURNS = 40.0, 9
OTHER = CHANNELS.index("other")
WHOLE_VOXEL = 0.99
"""Of the interpolated mask: voxels that a turn has mixed with the outside are not learned from."""


@dataclass(frozen=True, eq=False)
class Case:
    """Features and dose of one patient on the training device, float16: (CHANNELS, ...) and (1, ...)."""

    features: Tensor
    dose: Tensor


@dataclass(frozen=True)
class View:
    """How a case is shown: mirrored, turned by so many steps, moved by parts of the room there is (0 ... 1 an axis),
    with or without its CT; organs that it lacks, and organs that are shown as `other`; a turned one also in-plane as
    a larger (zoom above 1) or smaller patient. Distances and what beams reach are not made anew for it: keep it near 1.
    """

    mirrored: bool
    turns: int
    shift: tuple[float, float, float]
    with_ct: bool
    missing: tuple[str, ...] = ()
    unnamed: tuple[str, ...] = ()
    zoom: float = 1.0


def drawn(
    generator: torch.Generator, turned: bool, ct_kept: float, organs_kept: float = 1.0, zoom: float = 0.0
) -> View:  # fmt: skip
    """organs_kept: the share of organs that are shown as they are; half of the rest is missing, half is `other`. zoom:
    how far from 1 a turned patient's may be."""
    u = torch.rand(6, generator=generator).tolist()
    turns = 1 + int(u[1] * (TURNS - 1)) if turned else 0
    view = View(u[0] < 0.5, turns, (u[2], u[3], u[4]), u[5] < ct_kept)
    if zoom and turned:
        view = replace(view, zoom=1 + zoom * (2 * float(torch.rand((), generator=generator)) - 1))
    if organs_kept >= 1:
        return view
    v, half = torch.rand(len(ORGANS), generator=generator).tolist(), (1 + organs_kept) / 2
    missing = tuple(name for name, x in zip(ORGANS, v, strict=True) if organs_kept <= x < half)
    return replace(view, missing=missing, unnamed=tuple(name for name, x in zip(ORGANS, v, strict=True) if x >= half))


def disguised(features: Tensor, view: View) -> None:
    """Takes organs (channels, ...) away, or makes them `other`, in place."""
    for name in view.missing + view.unnamed:
        mask = features[CHANNELS.index(name)]
        if name in view.unnamed:
            features[OTHER] = torch.maximum(features[OTHER], mask)
        features[CHANNELS.index(name)] = 0


def mirrored(features: Tensor) -> Tensor:
    """(..., channels, inferior, posterior, left) of the mirrored patient."""
    order = list(range(features.shape[-4]))
    right, left = RIGHT_LEFT
    order[right], order[left] = left, right
    return features.flip(-1)[..., order, :, :, :]


def shown(case: Case, view: View, canvas: tuple[int, int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """(features (INPUTS, ...), dose (1, ...), weight (1, ...)) on the canvas, float16 (float32 of a turned case on a
    processor). weight is 1 where dose is possible and known. Organs are all shown: disguise them after what needs them.
    """
    both = torch.cat([mirrored(case.features), case.dose.flip(-1)]) if view.mirrored else (
        torch.cat([case.features, case.dose])
    )  # fmt: skip
    placed = _turned(both, view, canvas) if view.turns else _placed(both, view, canvas)
    features = torch.zeros(INPUTS, *canvas, device=placed.device, dtype=placed.dtype)
    features[: placed.shape[0] - 1] = placed[:-1]
    if not view.with_ct:
        features[[CT, HAS_CT]] = 0
    weight = (placed[POSSIBLE : POSSIBLE + 1] > WHOLE_VOXEL).to(placed.dtype)
    return features, placed[-1:], weight


def _placed(volume: Tensor, view: View, canvas: tuple[int, int, int]) -> Tensor:
    """Cut where the volume is larger than the canvas, moved about in it where it is smaller."""
    out = torch.zeros(volume.shape[0], *canvas, device=volume.device, dtype=volume.dtype)
    take, put = [slice(None)], [slice(None)]
    for side, room, part in zip(volume.shape[1:], canvas, view.shift, strict=True):
        start = round(part * abs(side - room))
        if side > room:
            take.append(slice(start, start + room))
            put.append(slice(None))
        else:
            take.append(slice(None))
            put.append(slice(start, start + side))
    out[tuple(put)] = volume[tuple(take)]
    return out


def _turned(volume: Tensor, view: View, canvas: tuple[int, int, int]) -> Tensor:
    """Turned about a point near the middle of what is in the axial plane; slices are chosen and placed as above."""
    slices = _placed(volume, view, (canvas[0], volume.shape[2], volume.shape[3]))
    if not slices.is_cuda:
        slices = slices.float()  # a processor is slow in half precision
    height, width = volume.shape[2:]
    angle = math.radians(TURN_DEG * view.turns)
    cos, sin = math.cos(angle), math.sin(angle)
    a = (torch.arange(canvas[1], device=volume.device) - (canvas[1] - 1) / 2) / view.zoom
    b = (torch.arange(canvas[2], device=volume.device) - (canvas[2] - 1) / 2) / view.zoom
    loose = [0.3 * (part - 0.5) for part in view.shift[1:]]
    rows = cos * a[:, None] - sin * b[None, :] + height * (0.5 + loose[0])
    columns = sin * a[:, None] + cos * b[None, :] + width * (0.5 + loose[1])
    place = torch.stack([2 * columns / width - 1, 2 * rows / height - 1], -1).to(slices.dtype)[None]
    place = place.expand(canvas[0], -1, -1, -1)
    return functional.grid_sample(slices.transpose(0, 1), place, align_corners=False).transpose(0, 1)
