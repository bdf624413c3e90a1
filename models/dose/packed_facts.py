"""Facts of a packed OpenKBP patient, for the detector of unknown patients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.prediction.facts import AnatomyFacts, Treatment

from .data import PRESCRIBED_GY, ROIS, TARGETS

NAMES = {"RightParotid": "Parotid_R", "LeftParotid": "Parotid_L", "Mandible": "Bone_Mandible"}
"""TG-263 names where OpenKBP's differ."""
ORGANS = tuple(NAMES.get(name, name) for name in ROIS[1:8])
FRACTIONS, GANTRY_DEG = 35, tuple(40.0 * n for n in range(9))
"""Of every reference plan (Babier et al., Med Phys 48:5549, 2021)."""


def facts_of(path: Path) -> AnatomyFacts | None:
    """None for a patient without a place where dose is possible."""
    with np.load(path) as file:
        stored = {name: file[name] for name in file.files}
    label = _upright(stored["label"])
    if not (label & 1).any():
        return None
    roi = {name: (label >> bit & 1).astype(bool) for bit, name in enumerate(ROIS)}
    organs = {NAMES.get(name, name): roi[name] for name in ROIS[1:8]}
    targets = [(gy, roi[name]) for gy, name in zip(PRESCRIBED_GY, TARGETS, strict=True) if roi[name].any()]
    ct = _upright(stored["ct"]).astype(np.float32) - np.float32(1000) if "ct" in stored else None
    a, b, c = (float(side) for side in stored["voxel_dimensions"])
    planned = Treatment(FRACTIONS, GANTRY_DEG)
    return AnatomyFacts.of(roi["possible_dose_mask"], organs, targets, ct, (c, a, b), planned)


def _upright(array: NDArray[Any]) -> NDArray[Any]:
    """Stored (posterior, left, inferior) to (z, y, x) in LPS."""
    return np.ascontiguousarray(array.transpose(2, 0, 1)[::-1])
