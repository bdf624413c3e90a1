"""A made-up head and neck: an elliptic body, three nested targets, organs on both sides, one that no layout names."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from engines.dose_features import Anatomy, Layout

SHAPE, SPACING = (26, 30, 34), (4.0, 5.0, 5.0)


def ball(centre: tuple[float, float, float], radii: tuple[float, float, float]) -> NDArray[np.bool_]:
    """centre and radii (z, y, x) in voxels from the middle."""
    axes = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in SHAPE), indexing="ij")
    return sum(((a - c) / r) ** 2 for a, c, r in zip(axes, centre, radii, strict=True)) < 1


def head(
    doses_gy: tuple[float, float, float] = (70.0, 63.0, 56.0), *, with_ct: bool = True, layout: Layout | None = None
) -> Anatomy:
    possible = ball((0, 0, 0), (20, 14, 16)) & ball((0, 0, 0), (12.4, 99, 99))
    organs: Mapping[str, NDArray[np.bool_]] = {
        "SpinalCord": ball((0, 8, 0), (99, 2, 2)) & possible,
        "Brainstem": ball((9, 6, 0), (4, 3, 3)),
        "Parotid_R": ball((4, 0, -12), (3, 3, 3)),
        "Parotid_L": ball((4, 1, 11), (3, 4, 3)),
        "Lens_L": ball((9, -9, 5), (2, 2, 2)),
        "Lens_R": ball((9, -9, -5), (2, 2, 2)),
    }
    masks = (ball((0, 0, 3), (4, 4, 4)), ball((0, 0, -6), (3.5, 3.5, 3.5)), ball((0, 0, 0), (8, 4, 10)))
    ct = 40 + 20 * np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32) if with_ct else None
    targets = list(zip(doses_gy, masks, strict=True))
    return Anatomy(possible, organs, targets, ct, SPACING, layout or Layout())


def mirrored(one: Anatomy) -> Anatomy:
    """The patient seen in a mirror: sides exchanged, organs renamed."""
    sides = {"_R": "_L", "_L": "_R"}

    def flipped(mask: NDArray[np.generic]) -> NDArray[np.generic]:
        return np.ascontiguousarray(mask[..., ::-1])

    organs = {name[:-2] + sides.get(name[-2:], name[-2:]): flipped(mask) for name, mask in one.organs.items()}
    targets = [(gy, flipped(mask)) for gy, mask in one.targets]
    ct = None if one.ct_hu is None else flipped(one.ct_hu)
    return Anatomy(flipped(one.possible), organs, targets, ct, one.spacing_mm, one.layout)
