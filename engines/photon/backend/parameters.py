"""What a GPU kernel is told, byte for byte as kernels/photon_params.h lays it out.

NumPy's aligned structs follow the C layout rules; tests/engines/photon/cuda compare them with the compiler's.
Pure: no device is needed to make or test these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.grid import Grid
from engines.photon.beam_model import BeamModel
from engines.photon.frame import BeamFrame
from engines.photon.raster import Raster

THREADS = 256
"""Threads of every block. Chosen: four to eight warps a scheduler hide a load's latency."""
MOST_ALONG_X, MOST_ALONG_YZ = 2**31 - 1, 65535
"""Blocks of a grid along x, and along y and z: CUDA C++ Programming Guide, technical specifications per compute
capability, the same for all since 3.0."""
LARGEST_COUNT = 2**31 - 1
"""Points of one operator and voxels of a lattice: kernels keep such an index in 32 bits."""

Fields = list[tuple[Any, ...]]


def _struct(fields: Fields) -> np.dtype[np.void]:
    return np.dtype(fields, align=True)


POINTER = np.uint64
LATTICE = _struct([("origin", np.float32, 3), ("spacing", np.float32, 3), ("n", np.int32, 3)])
BEAM_FRAME = _struct([(name, np.float32, 3) for name in ("isocentre", "ex", "ey", "ez")] + [("sad", np.float32)])
ATTENUATION = _struct([("m", np.float32), ("beta", np.float32, 3), ("softening", np.float32, 2)])
RASTER = _struct([("u0", np.float32), ("v0", np.float32), ("pitch", np.float32), ("nu", np.int32), ("nv", np.int32)])
DEVICE_BEAM = _struct([("frame", BEAM_FRAME), ("source", np.float32, 3)])
DEPTH = _struct(
    [(name, POINTER) for name in ("points", "density", "beams", "depth")]
    + [("lattice", LATTICE), ("beam_count", np.int32), ("n", np.int64)]
)
POINT = _struct(
    [(name, POINTER) for name in ("points", "depth", "beams")]
    + [("attenuation", ATTENUATION), ("raster", RASTER), ("beam_count", np.int32), ("n", np.int64)]
)
GEOMETRY = _struct([("at", POINT), ("geometry", POINTER)])
FORWARD = _struct([("at", POINT), ("maps", POINTER), ("dose", POINTER), ("keep", np.float32), ("scale", np.float32)])
SORT = _struct([("at", POINT), *((name, POINTER) for name in ("cell", "cursor", "begin", "order"))])
CELL_SUM = _struct([("at", POINT), *((name, POINTER) for name in ("begin", "order", "sums"))])
NODE = _struct([("sums", POINTER), ("maps", POINTER), ("raster", RASTER), ("beam_count", np.int32)])
GRADIENT = _struct([("points", POINTER), ("gradient", POINTER), ("n", np.int64)])
MULTIPLY = _struct(
    [(name, POINTER) for name in ("a", "b", "c")]
    + [(name, np.int64) for name in ("a_batch", "b_batch", "c_batch", "rows")]
    + [(name, np.int32) for name in ("columns", "inner", "channels", "c_channel", "c_step")]
    + [("scale", np.float32)]
)
WEIGH = _struct(
    [(name, POINTER) for name in ("in", "factor", "table", "out")] + [("pixels", np.int32), ("beam_count", np.int32)]
)
HEAD = _struct(
    [("frame", BEAM_FRAME), ("raster", RASTER), ("softening", np.float32, 3)]
    + [(name, np.float32) for name in ("extra_distance", "electrons_per_mm", "table_step")]
    + [("table_last", np.int32)]
)
CONE_GROUP = _struct([("source", np.float32, 3), *((name, POINTER) for name in ("energy", "hull"))])
SHAPE = ("shape", np.int32, 3)
RELEASE = _struct(
    [(name, POINTER) for name in ("density", "maps", "table", "depth", "primary", "scatter", "electrons")]
    + [("lattice", LATTICE), ("head", HEAD), ("source", np.float32, 3)]
)
POOL = _struct(
    [(name, POINTER) for name in ("fine", "density", "coarse_density", "energy")]
    + [(name, np.int32, 3) for name in ("fine_shape", "shape", "first", "factor")]
)
HULL = _struct(
    [
        *((name, POINTER) for name in ("energy", "by_first", "by_second")),
        SHAPE,
        ("group_count", np.int32),
        ("least", np.float32),
    ]
)
GREATEST = _struct([("energy", POINTER), ("greatest", POINTER), ("voxels", np.int64)])
HAND_OVER = _struct(
    [(name, POINTER) for name in ("energy", "least", "wide")] + [("voxels", np.int64), ("group_count", np.int32)]
)
TURN = _struct([("in", POINTER), ("out", POINTER), SHAPE, ("images", np.int32)])
SWEEP = _struct(
    [(name, POINTER) for name in ("density", "by_first", "by_second", "weights", "directions", "number", "slots")]
    + [("origin", np.float32, 3), ("spacing", np.float32, 3), ("exponent", np.float32), SHAPE]
    + [(name, np.int32) for name in ("group_count", "first", "count")]
)
SLOT = _struct([("slots", POINTER), ("dose", POINTER), SHAPE, ("slot_count", np.int32), ("turned", np.int32)])

OF_KERNEL: dict[str, np.dtype[np.void]] = {
    "depth_of_points": DEPTH,
    "geometry_of_points": GEOMETRY,
    "forward": FORWARD,
    "place_gradient": GRADIENT,
    "count_cells": SORT,
    "scan_cells": SORT,
    "fill_cells": SORT,
    "order_cells": SORT,
    "sum_cells": CELL_SUM,
    "sum_nodes": NODE,
    "multiply": MULTIPLY,
    "weigh": WEIGH,
    "spread": WEIGH,
    "combine": WEIGH,
    "release_energy": RELEASE,
    "pool_energy": POOL,
    "find_greatest": GREATEST,
    "hand_over": HAND_OVER,
    "find_hulls": HULL,
    "turn_lanes": TURN,
    "sweep_cones": SWEEP,
    "add_slots": SLOT,
}
"""Every kernel of photon.cu with the struct it takes."""


@dataclass(frozen=True, eq=False)
class Launch:
    """One kernel launch: blocks of the grid along x, y, z (all of THREADS threads) and the parameter struct. Raises
    EngineError for a grid that no device has."""

    kernel: str
    grid: tuple[int, int, int]
    parameters: np.void

    def __post_init__(self) -> None:
        x, y, z = self.grid
        if not (1 <= x <= MOST_ALONG_X and 1 <= y <= MOST_ALONG_YZ and 1 <= z <= MOST_ALONG_YZ):
            raise EngineError(f"the problem is too large for one launch of '{self.kernel}' (grid {self.grid})")


def pack(kernel: str, **fields: Any) -> np.void:
    """The parameter struct of a kernel; every field must be given."""
    kind = OF_KERNEL[kernel]
    if set(fields) != set(kind.names or ()):
        raise EngineError(f"parameters of '{kernel}' are {kind.names}, got {tuple(fields)}")
    return packed(kind, fields)


def packed(kind: np.dtype[np.void], fields: dict[str, Any]) -> np.void:
    record = np.zeros((), kind)
    for name, value in fields.items():
        record[name] = value
    made: Any = record[()]
    return cast(np.void, made)


def blocks(count: int) -> int:
    """Blocks of THREADS threads that cover `count` items."""
    return -(-count // THREADS)


def lattice_record(grid: Grid) -> np.void:
    """Raises EngineError for more voxels than a 32-bit index reaches."""
    if grid.size > LARGEST_COUNT:
        raise EngineError(f"{grid.size} voxels are more than a density lattice may have ({LARGEST_COUNT})")
    return packed(LATTICE, {"origin": grid.origin_mm, "spacing": grid.spacing_mm, "n": grid.shape[::-1]})


def raster_record(raster: Raster) -> np.void:
    values = {"u0": raster.u0_mm, "v0": raster.v0_mm, "pitch": raster.pitch_mm, "nu": raster.nu, "nv": raster.nv}
    return packed(RASTER, values)


def attenuation_record(model: BeamModel) -> np.void:
    softening = model.softening
    return packed(ATTENUATION, {"m": model.attenuation_per_mm, "beta": model.betas_per_mm, "softening": softening})


def frame_record(frame: BeamFrame) -> np.void:
    axes = {"isocentre": frame.isocentre_mm, "ex": frame.ex, "ey": frame.ey, "ez": frame.ez}
    return packed(BEAM_FRAME, {**axes, "sad": frame.sad_mm})


def beam_records(frames: tuple[BeamFrame, ...]) -> NDArray[np.void]:
    """(beams,) of DEVICE_BEAM."""
    out = np.zeros(len(frames), DEVICE_BEAM)
    for record, frame in zip(out, frames, strict=True):
        record["frame"], record["source"] = frame_record(frame), frame.source_mm
    return out
