"""Reading one packed OpenKBP patient (.npz) with every check done at the door, in patient LPS afterwards."""

from __future__ import annotations

import re
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from appliance.errors import RefusedObject
from engines.grid import Grid

FULL_GRID = 128
"""Voxels along each axis of the challenge's images (Babier et al., Med Phys 48:5549, 2021)."""

HU_OF_ZERO = -1000
"""HU = value − 1000: tissue peaks of the published values lie there; the challenge does not document it."""

HIGHEST_CT_VALUE = 4095
GY_PER_UNIT = 0.01
FRACTIONS = 35

VOXEL_RANGE_MM = (0.5, 10.0)
"""Voxel sizes taken as plausible. Chosen wide around the challenge's 2 to 5 mm."""

LABEL_BITS = MappingProxyType(
    {
        "Brainstem": 1,
        "SpinalCord": 2,
        "Parotid_R": 3,
        "Parotid_L": 4,
        "Esophagus": 5,
        "Larynx": 6,
        "Bone_Mandible": 7,
        "PTV_5600": 8,
        "PTV_6300": 9,
        "PTV_7000": 10,
    }
)
"""AAPM TG-263 name -> bit of `label`. Bit 0, where the challenge counts dose, is no structure and not taken."""

_NUMBER = re.compile(r"(\d{1,6})$")


@dataclass(frozen=True, eq=False)
class PackedPatient:
    """name: number or file name, for the synthetic identity. hu: (z, y, x) int16; masks: boolean (z, y, x) by TG-263
    name, External first, only those that hold a voxel; dose_gy: float32 of the whole course, or None."""

    name: str
    grid: Grid
    hu: NDArray[np.int16]
    masks: dict[str, NDArray[np.bool_]]
    dose_gy: NDArray[np.float32] | None


def read_packed(npz: Path) -> PackedPatient:
    """Raises RefusedObject, rules `unreadable`, `no-ct`, `missing-array`, `array-kind`, `array-shape`,
    `value-range`, `voxel-size`, `no-body`, `no-structures`."""
    arrays = _load(npz)
    if "ct" not in arrays:
        raise _refused(
            "it holds no CT, and a plan needs one", "no-ct", "Choose a patient whose file has the array 'ct'"
        )
    for key in ("label", "offset", "voxel_dimensions"):
        if key not in arrays:
            raise _refused(f"the array '{key}' is missing", "missing-array")
    _check_volumes(arrays)
    values = _to_lps(arrays["ct"])
    label = _to_lps(arrays["label"])
    masks = {"External": _body(values)}
    masks |= {name: (label & (1 << bit)) != 0 for name, bit in LABEL_BITS.items()}
    present = {name: mask for name, mask in masks.items() if mask.any()}
    if len(present) == 1:
        raise _refused("no voxel is labelled as a structure", "no-structures")
    dose = arrays.get("dose")
    match = _NUMBER.search(npz.stem)
    return PackedPatient(
        name=match[1] if match else re.sub(r"[^A-Za-z0-9]+", "-", npz.stem)[:32].upper(),
        grid=_grid(arrays),
        hu=(values.astype(np.int32) + HU_OF_ZERO).astype(np.int16),
        masks=present,
        dose_gy=None if dose is None else _to_lps(dose).astype(np.float32) * np.float32(GY_PER_UNIT),
    )


def _refused(
    reason: str, rule: str, remedy: str = "Choose an unaltered file of the packed OpenKBP set"
) -> RefusedObject:
    return RefusedObject(reason, what="The OpenKBP file", remedy=remedy, rule=rule)


def _load(npz: Path) -> dict[str, NDArray[np.generic]]:
    try:
        with np.load(npz, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except OSError as error:
        raise _refused(f"it cannot be read ({error.strerror or error})", "unreadable") from error
    except (ValueError, EOFError, KeyError, AttributeError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise _refused("it is damaged or no .npz archive of plain arrays", "unreadable") from error


def _check_volumes(arrays: dict[str, NDArray[np.generic]]) -> None:
    shape = arrays["ct"].shape
    if len(shape) != 3 or min(shape) < 2 or max(shape) > FULL_GRID:
        raise _refused(f"its CT has shape {shape} and not 2 to {FULL_GRID} voxels along three axes", "array-shape")
    for key in ("ct", "label", "dose"):
        if key not in arrays:
            continue
        if arrays[key].shape != shape:
            raise _refused(f"'{key}' has shape {arrays[key].shape} and the CT {shape}", "array-shape")
        if arrays[key].dtype.kind != "u":
            raise _refused(f"'{key}' holds {arrays[key].dtype} and not whole numbers from 0", "array-kind")
    if int(arrays["ct"].max()) > HIGHEST_CT_VALUE:
        raise _refused(f"CT values go beyond {HIGHEST_CT_VALUE}", "value-range")


def _to_lps(array: NDArray[np.generic]) -> NDArray[np.uint16]:
    """From axes (posterior, left, inferior) to (z, y, x) with z towards superior."""
    return np.ascontiguousarray(array.transpose(2, 0, 1)[::-1]).astype(np.uint16)


def _grid(arrays: dict[str, NDArray[np.generic]]) -> Grid:
    """The crop at its place in the challenge's full grid, whose centre is the origin of the frame of reference."""
    size, offset = arrays["voxel_dimensions"], arrays["offset"]
    if size.shape != (3,) or size.dtype.kind != "f" or offset.shape != (3,) or offset.dtype.kind not in "iu":
        raise _refused("'voxel_dimensions' or 'offset' does not hold three numbers", "array-kind")
    # str of a float32 is the shortest number that means it: 3.906, not 3.90599989
    posterior_mm, left_mm, inferior_mm = (float(str(value)) for value in size)
    low, high = VOXEL_RANGE_MM
    if not all(low <= step <= high for step in (posterior_mm, left_mm, inferior_mm)):
        raise _refused(f"its voxels are not between {low:g} and {high:g} mm", "voxel-size")
    shape = arrays["ct"].shape
    first = [int(value) for value in offset]
    if not all(0 <= start <= FULL_GRID - count for start, count in zip(first, shape, strict=True)):
        raise _refused(f"its crop does not lie in the grid of {FULL_GRID} voxels", "array-shape")
    middle = (FULL_GRID - 1) / 2
    origin = (
        (first[1] - middle) * left_mm,
        (first[0] - middle) * posterior_mm,
        -(first[2] + shape[2] - 1 - middle) * inferior_mm,
    )
    return Grid(origin, (left_mm, posterior_mm, inferior_mm), (shape[2], shape[0], shape[1]))


def _body(values: NDArray[np.uint16]) -> NDArray[np.bool_]:
    """Largest connected part (faces) with values above 0, its holes filled slice by slice."""
    parts, count = ndimage.label(values > 0)
    if count == 0:
        raise _refused("its CT is empty", "no-body")
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    largest = parts == int(sizes.argmax())
    return np.stack([ndimage.binary_fill_holes(plane) for plane in largest])
