"""Messages between Couchside and a planning system in a process of its own, over pipes. NumPy only, because it is
imported in the peer's environment as well as in ours.

A message is MARK, then its parts, each a length (4 bytes, big-endian) and so many bytes: JSON in UTF-8 whose key
'arrays' names the arrays, then each of these as an npy file.

    -> {"ask": "case", "gantry_deg": [...], "isocentre_mm": [x, y, z], "origin_mm": [...], "spacing_mm": [...]}
       arrays: hu (z, y, x) int16, body and target (z, y, x) bool
    <- {"kinds": [...]}: the kinds of objectives that the planning system can be told
    -> {"ask": "optimise", "warm": bool, "iterations": n, "objectives": [{"region", "kind", "dose_gy", "weight",
       "volume_percent"}, ...]}; arrays: a region's voxels, flat into the grid, under its name, when first spoken of
    <- {"merit": x, "iterations": n, "cpu_s": t}; array dose_gy (z, y, x) float32, of the whole course

Doses in Gy, frame as everywhere (DICOM LPS, mm). The end of the pipe is the end of the work.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

MARK = b"CTPS"
LARGEST = 1 << 28
"""Bytes of one part (chosen: a full image in float32 fits; what a text would say of its length does not)."""

Message = dict[str, Any]
Arrays = dict[str, NDArray[Any]]


class NotAMessage(ValueError):
    """What came over the pipe does not follow the form above."""


def packed(message: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]] | None = None) -> bytes:
    arrays = arrays or {}
    parts = [json.dumps({**message, "arrays": list(arrays)}).encode("utf-8")]
    for array in arrays.values():
        file = io.BytesIO()
        np.save(file, array, allow_pickle=False)
        parts.append(file.getvalue())
    return MARK + b"".join(struct.pack(">I", len(part)) + part for part in parts)


def unpacked(read: Callable[[int], bytes]) -> tuple[Message, Arrays]:
    """read: gives exactly so many bytes or raises. Raises NotAMessage."""
    mark = read(len(MARK))
    if mark != MARK:
        raise NotAMessage(f"it begins with {mark!r}")
    message = _parsed(_part(read))
    return message, {name: _array(_part(read)) for name in message.pop("arrays")}


def _part(read: Callable[[int], bytes]) -> bytes:
    (size,) = struct.unpack(">I", read(4))
    if size > LARGEST:
        raise NotAMessage(f"a part of it has {size} bytes")
    return read(size)


def _parsed(text: bytes) -> Message:
    try:
        message = json.loads(text)
    except ValueError as error:
        raise NotAMessage(str(error)) from error
    names = message.get("arrays") if isinstance(message, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise NotAMessage("it names no arrays")
    return dict(message)


def _array(data: bytes) -> NDArray[Any]:
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise NotAMessage(f"an array cannot be read: {error}") from error
    if not isinstance(array, np.ndarray):
        raise NotAMessage("an array is an archive")
    return array
