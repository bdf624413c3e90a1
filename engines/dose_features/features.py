"""The input of a dose network: one volume a fact, from masks, CT, distances and what a site's beams can do.

The same numbers as models/dose/features.py, which makes them with PyTorch for the training; here nothing but NumPy and
our own kernels is needed. tests/engines/dose_features holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.dose_features import _dose_features as kernels
from engines.dose_features.anatomy import Anatomy
from engines.dose_features.volumes import PLAN_UNIT_GY, Volumes, beam_axes, organ_channels

CT_UNIT_HU, CT_HIGHEST = 1000.0, 1.5
DISTANCE_LIMIT_MM, DISTANCE_UNIT_MM, INSIDE_LIMIT_MM = 60.0, 30.0, 30.0
SPACING_UNIT_MM = 4.0
BEAM_CHANNELS = 8
"""Three open fields, beams seen, three plans, largest beam: one kernel makes them."""


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
        """(..., z, y, x) of a volume (..., inferior, posterior, left) as the network gives it, padding cut off."""
        nz, ny, nx = self.shape
        return np.ascontiguousarray(volume[..., :nz, :ny, :nx][..., ::-1, :, :])


def features(anatomy: Anatomy, *, multiple: int = 1, threads: int = 0) -> Features:
    """All channels of the anatomy's layout. multiple: sides are padded up to multiples of it (the network wants 16).
    threads: 0 means all that OpenMP gives; the numbers do not depend on it."""
    names = anatomy.layout.channels
    threads = threads or kernels.max_threads()
    nz, ny, nx = anatomy.shape
    made = np.zeros((len(names), *(side + -side % multiple for side in anatomy.shape)), np.float32)
    inner = made[:, :nz, :ny, :nx]
    volumes = Volumes.of(anatomy)
    _plain_channels(anatomy, volumes, inner)
    first = names.index("prescribed") + 1
    _distance_channels(anatomy, volumes, inner[first : first + 4], threads)
    kernels.beam_channels(
        volumes.possible,
        volumes.asked,
        volumes.level,
        volumes.kind,
        volumes.z,
        volumes.y,
        volumes.x,
        anatomy.spacing_mm,
        beam_axes(anatomy.layout.gantry_deg),
        1 / PLAN_UNIT_GY,
        inner[first + 4 : first + 4 + BEAM_CHANNELS],
        threads,
    )
    return Features(made, names, anatomy.unit_gy, anatomy.shape)


def _plain_channels(anatomy: Anatomy, volumes: Volumes, out: NDArray[np.float32]) -> None:
    names, possible = anatomy.layout.channels, volumes.possible.view(np.bool_)
    out[0] = possible
    for name, mask in organ_channels(anatomy).items():
        np.logical_and(mask[::-1], possible, out=out[names.index(name)])
    if anatomy.ct_hu is not None:
        ct = out[names.index("ct")]
        np.divide(anatomy.ct_hu[::-1], np.float32(CT_UNIT_HU), out=ct)
        np.clip(ct, -1.0, CT_HIGHEST, out=ct)
        ct *= possible
        out[names.index("has_ct")] = possible
    np.multiply(volumes.asked, possible / np.float32(PLAN_UNIT_GY), out=out[names.index("prescribed")])
    np.multiply(possible, np.float32(anatomy.spacing_mm[1] / SPACING_UNIT_MM), out=out[names.index("spacing")])


def _distance_channels(anatomy: Anatomy, volumes: Volumes, out: NDArray[np.float32], threads: int) -> None:
    """To each level and to what is outside all targets, in units of DISTANCE_UNIT_MM."""
    for n, limit_mm in enumerate((DISTANCE_LIMIT_MM,) * 3 + (INSIDE_LIMIT_MM,)):
        level = (volumes.level <= min(n, 2)).view(np.uint8)
        scale, wanted = 1 / DISTANCE_UNIT_MM, n < 3
        kernels.distances(level, wanted, volumes.possible, anatomy.spacing_mm, limit_mm, scale, out[n], threads)
