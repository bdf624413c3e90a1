"""Made-up patients in the packed format: an ellipsoid of water with organs of their own intensities."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from appliance.builtin.packed import LABEL_BITS

HU = {"Parotid_R": 200, "Parotid_L": 400, "SpinalCord": 700, "Bone_Mandible": 1000}
SHAPE = (40, 44, 30)
"""Posterior, left, inferior."""
SPACING_MM = (3.906, 3.906, 3.0)


def write_packed(path: Path, *, seed: int = 0, with_ct: bool = True, without: tuple[str, ...] = ()) -> Path:
    """Parotids lie 12 voxels from the midline; the cord ends five slices over the lower end of the image. without:
    organs that are in the CT and that nobody drew."""
    rng = np.random.default_rng(seed)
    middle = [(n - 1) / 2 for n in SHAPE]
    a, b, c = np.meshgrid(*(np.arange(n) - m for n, m in zip(SHAPE, middle, strict=True)), indexing="ij")
    body = (a / 17) ** 2 + (b / 19) ** 2 < 1
    organs = {
        "Parotid_R": (a + 2) ** 2 + (b + 12) ** 2 + c**2 < 16,
        "Parotid_L": (a + 2) ** 2 + (b - 12) ** 2 + c**2 < 16,
        "SpinalCord": (a - 10) ** 2 + b**2 < 5,
        "Bone_Mandible": (abs(a + 10) < 2) & (abs(b) < 8) & (abs(c) < 3),
    }
    hu = np.where(body, rng.normal(0, 20, SHAPE), -1000.0)
    label = body.astype(np.uint16)
    for name, inside in organs.items():
        hu[inside] = HU[name]
        drawn = inside & (c < SHAPE[2] / 2 - 5) if name == "SpinalCord" else inside
        if name not in without:
            label[drawn] |= np.uint16(1 << LABEL_BITS[name])
    arrays = {"label": label, "offset": np.zeros(3, np.int16), "voxel_dimensions": np.array(SPACING_MM, np.float32)}
    if with_ct:
        arrays["ct"] = np.where(body, np.clip(np.rint(hu) + 1000, 1, 4095), 0).astype(np.uint16)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    return path
