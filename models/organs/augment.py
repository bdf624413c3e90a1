"""One training patch: where it is taken, how it is turned, and what becomes of its intensities.

Everything that is drawn comes from one generator a patch, seeded by the run's seed and the patch's number: a run that
goes on draws what it would have drawn. All shares and ranges are chosen, near nnU-Net's where it has them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from engines.segmentation import Intensity

from .data import BODY, COUNTS, MIRRORED, ORGANS, SPACING_MM, Volume

AT_ORGAN = 0.75
"""Share of patches about a voxel of an organ; the others lie anywhere in the patient, so that shoulders are seen."""
OFTEN = (2.0, 1.0, 1.0, 1.0, 5.0, 3.0, 1.0)
"""How often each drawn organ is that one: the oesophagus is drawn in a third of OpenKBP's patients, the larynx in half,
and both were learned last."""
JITTER = 0.25
"""Of the patch: how far from that voxel its middle may be."""
TURN_DEG = (12.0, 8.0, 8.0)
"""Largest turn about x (a neck bends), y and z."""
ZOOM = 0.12
"""Largest change of size, along each axis for itself."""
CONTRAST, SHIFT, NOISE = 0.15, 0.15, 0.1
"""Of normalised intensities: largest change of contrast, of level, and largest standard deviation of noise."""
LEVEL_SHARE, NOISE_SHARE = 0.5, 0.3
AROUND_SHARE = 0.3
"""Of patches with something around the patient: OpenKBP's images hold nothing outside the skin, and real ones do."""
COUCH_HU, COUCH_VOXELS = (-950.0, 0.0), 6
"""Intensities and greatest thickness of a slab behind the patient."""
Random = np.random.Generator


@dataclass(frozen=True, eq=False)
class Sample:
    """image (1, z, y, x) normalised; inside and counts (organs, z, y, x), 0 or 1."""

    image: Tensor
    inside: Tensor
    counts: Tensor


def sample(volume: Volume, intensity: Intensity, patch: tuple[int, int, int], random: Random) -> Sample:
    """A patch of a volume, turned, mirrored and changed; where it reaches beyond the image, zeros that do not count."""
    middle = _middle(volume, patch, random)
    mirrored = bool(random.random() < 0.5)
    grid = places(volume.hu.shape, patch, middle, _turned(random, mirrored))
    # Zeros beyond the image, as the engine pads what is normalised.
    image = torch.from_numpy(intensity.apply(volume.hu))[None, None]
    image = functional.grid_sample(image, grid, mode="bilinear", padding_mode="zeros", align_corners=True)[0]
    bits = torch.from_numpy(volume.bits.astype(np.float32))[None, None]
    bits = functional.grid_sample(bits, grid, mode="nearest", padding_mode="zeros", align_corners=True)[0, 0].int()
    order = MIRRORED if mirrored else range(len(ORGANS))
    inside, counts = (torch.stack([bits >> first + n & 1 for n in order]).float() for first in (0, COUNTS))
    if random.random() < AROUND_SHARE:
        furnish(image[0], bits >> BODY & 1, intensity, random)
    return Sample(_changed(image, random), inside, counts)


def _middle(volume: Volume, patch: tuple[int, int, int], random: Random) -> list[float]:
    """Of the patch, in voxels; the patch within the image where it fits, as the product's tiles are."""
    size = volume.hu.shape
    if random.random() < AT_ORGAN:
        drawn = list(volume.places)
        often = np.array([OFTEN[channel] for channel in drawn])
        channel = int(random.choice(drawn, p=often / often.sum()))
        at = np.unravel_index(int(random.choice(volume.places[channel])), size)
        middle = [float(v) + random.uniform(-JITTER, JITTER) * p for v, p in zip(at, patch, strict=True)]
    else:
        middle = [random.uniform(0, n - 1) for n in size]
    kept = []
    for value, n, p in zip(middle, size, patch, strict=True):
        least, most = (p - 1) / 2, n - 1 - (p - 1) / 2
        kept.append(min(max(value, least), most) if least < most else (n - 1) / 2)
    return kept


def _turned(random: Random, mirrored: bool) -> NDArray[np.float64]:
    """From steps of a patch to steps in the patient, both mm along z, y, x."""
    about_x, about_y, about_z = (np.deg2rad(random.uniform(-most, most)) for most in TURN_DEG)
    turn = rotation(about_x, 0, 1) @ rotation(about_y, 0, 2) @ rotation(about_z, 1, 2)
    zoom = np.diag([random.uniform(1 - ZOOM, 1 + ZOOM) for _ in range(3)])
    return np.asarray(turn @ zoom @ np.diag([1.0, 1.0, -1.0 if mirrored else 1.0]))


def rotation(angle: float, first: int, second: int) -> NDArray[np.float64]:
    made = np.eye(3)
    made[first, first] = made[second, second] = np.cos(angle)
    made[first, second], made[second, first] = -np.sin(angle), np.sin(angle)
    return made


def places(
    size: tuple[int, ...], patch: tuple[int, int, int], middle: list[float], matrix: NDArray[np.float64]
) -> Tensor:
    """(1, z, y, x, 3) of where each voxel of the patch is taken, as grid_sample wants it: x first, -1..1."""
    spacing = np.asarray(SPACING_MM)
    voxels = matrix * spacing[None, :] / spacing[:, None]
    axes = [torch.arange(p, dtype=torch.float64) - (p - 1) / 2 for p in patch]
    steps = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)
    at = steps @ torch.from_numpy(voxels).T + torch.tensor(middle, dtype=torch.float64)
    most = torch.tensor([max(1, n - 1) for n in size], dtype=torch.float64)
    return (2 * at / most - 1).flip(-1).float()[None]


def furnish(image: Tensor, body: Tensor, intensity: Intensity, random: Random) -> None:
    """Noise in the air and a slab behind the patient, in place; both (z, y, x)."""
    low, high = (float(v) for v in intensity.apply(np.array(COUCH_HU)))
    air = body == 0
    level = torch.full_like(image, random.uniform(low, high))
    slab = torch.zeros_like(air)
    rows = torch.nonzero(body.sum((0, 2)))
    if len(rows):
        first = int(rows[-1]) + 1 + int(random.integers(0, 3))
        slab[:, first : first + int(random.integers(1, COUCH_VOXELS + 1))] = True
    # Beyond the image stay the zeros of its padding.
    image[air & slab & (image != 0)] = level[air & slab & (image != 0)]


def _changed(image: Tensor, random: Random) -> Tensor:
    if random.random() < LEVEL_SHARE:
        contrast, shift = 1 + random.uniform(-CONTRAST, CONTRAST), random.uniform(-SHIFT, SHIFT)
        image = image * contrast + shift
    if random.random() < NOISE_SHARE:
        noise = random.standard_normal(image.shape, np.float32)
        image = image + torch.from_numpy(noise) * random.uniform(0, NOISE)
    return image
