"""The bytes that Python packs are those that C++ reads; grids cover every item, and impossible ones are refused."""

from __future__ import annotations

import ctypes
import mmap

import numpy as np
import pytest

from engines.errors import EngineError
from engines.grid import Grid
from engines.photon.backend import parameters
from engines.photon.backend.parameters import OF_KERNEL, Launch, blocks, pack
from engines.photon.frame import beam_frame

from .emulated import EmulatedDevice

DTYPES = {
    "Lattice": parameters.LATTICE, "BeamFrame": parameters.BEAM_FRAME, "Attenuation": parameters.ATTENUATION,
    "Raster": parameters.RASTER, "DeviceBeam": parameters.DEVICE_BEAM, "DepthParams": parameters.DEPTH,
    "PointParams": parameters.POINT, "GeometryParams": parameters.GEOMETRY, "ForwardParams": parameters.FORWARD,
    "SortParams": parameters.SORT, "CellSumParams": parameters.CELL_SUM, "NodeParams": parameters.NODE,
    "GradientParams": parameters.GRADIENT, "MultiplyParams": parameters.MULTIPLY, "WeighParams": parameters.WEIGH,
    "Head": parameters.HEAD, "ConeGroup": parameters.CONE_GROUP, "ReleaseParams": parameters.RELEASE,
    "PoolParams": parameters.POOL, "GreatestParams": parameters.GREATEST, "HandOverParams": parameters.HAND_OVER,
    "HullParams": parameters.HULL, "TurnParams": parameters.TURN, "SweepParams": parameters.SWEEP,
    "SlotParams": parameters.SLOT,
}  # fmt: skip

NO_RESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000)
"""Linux's value, which Python names from 3.13 on."""


@pytest.fixture(scope="module")
def layout(library) -> dict[str, dict[str, int]]:
    """{type: {field: offset, '': size}} as the C++ compiler laid them out."""
    told: dict[str, dict[str, int]] = {}
    loaded = ctypes.CDLL(str(library))
    kind, field, offset, row = ctypes.c_char_p(), ctypes.c_char_p(), ctypes.c_size_t(), 0
    while loaded.layout(ctypes.c_size_t(row), ctypes.byref(kind), ctypes.byref(field), ctypes.byref(offset)):
        told.setdefault(kind.value.decode(), {})[field.value.decode()] = offset.value
        row += 1
    return told


def test_every_struct_is_compared(layout):
    assert set(layout) == set(DTYPES)
    assert {id(kind) for kind in OF_KERNEL.values()} <= {id(kind) for kind in DTYPES.values()}


@pytest.mark.parametrize("name", DTYPES)
def test_size_and_offsets_are_the_compilers(layout, name):
    kind, told = DTYPES[name], layout[name]
    assert kind.itemsize == told.pop("")
    assert {field: kind.fields[field][1] for field in kind.names} == told


def test_every_kernel_takes_what_is_packed_for_it(library):
    loaded = ctypes.CDLL(str(library))
    loaded.parameter_bytes.restype = ctypes.c_size_t
    for kernel, kind in OF_KERNEL.items():
        assert loaded.parameter_bytes(kernel.encode()) == kind.itemsize, kernel


def test_a_beam_is_one_transaction_of_64_bytes_and_its_source_is_the_cpus():
    frame = beam_frame((1.5, -2.5, 3.5), 33.0, couch_deg=7.0)
    record = parameters.beam_records((frame,))[0]
    assert record.dtype.itemsize == 64
    assert record["source"].tolist() == frame.source_mm.astype(np.float32).tolist()
    assert record["frame"]["ez"].tolist() == frame.ez.astype(np.float32).tolist()


@pytest.mark.parametrize(("count", "expected"), [(1, 1), (256, 1), (257, 2), (2**31 - 1, 2**23)])
def test_blocks_cover_every_item(count, expected):
    assert blocks(count) == expected


@pytest.mark.parametrize("grid", [(0, 1, 1), (2**31, 1, 1), (1, 65536, 1), (1, 1, 65536)])
def test_a_grid_that_no_device_has_is_refused(grid):
    parameters_ = pack("place_gradient", points=0, gradient=0, n=1)
    with pytest.raises(EngineError, match="too large for one launch"):
        Launch("place_gradient", grid, parameters_)


def test_a_forgotten_parameter_is_refused():
    with pytest.raises(EngineError, match="parameters of 'place_gradient'"):
        pack("place_gradient", points=0, gradient=0)


def test_a_lattice_beyond_32_bits_is_refused():
    with pytest.raises(EngineError, match="density lattice"):
        parameters.lattice_record(Grid((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (2048, 1024, 1025)))


def test_an_index_beyond_32_bits_finds_its_place(library):
    """Three beams of 1.2e9 points, of which 256 each are computed: those of the last beam begin at element 2.4e9. The
    14 GB exist as address space only."""
    n, beams, water = 1_200_000_000, 3, np.ones((8, 8, 8), np.float32)
    try:
        space = mmap.mmap(-1, 4 * n * beams, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | NO_RESERVE)
    except (OSError, ValueError, OverflowError) as error:
        pytest.skip(f"the address space cannot be had ({error})")
    depth = np.frombuffer(space, np.float32)
    points = np.zeros((256, 4), np.float32)
    points[:, :3] = np.random.default_rng(0).uniform(0, 7, (256, 3))
    frames = parameters.beam_records(tuple(beam_frame((3.5, 3.5, 3.5), angle) for angle in (0.0, 90.0, 200.0)))
    record = pack(
        "depth_of_points", points=points.ctypes.data, density=water.ctypes.data, beams=frames.ctypes.data,
        depth=depth.ctypes.data, beam_count=beams, n=n,
        lattice=parameters.lattice_record(Grid((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), water.shape)),
    )  # fmt: skip
    EmulatedDevice(library).launch([Launch("depth_of_points", (1, beams, 1), record)])
    for beam in range(beams):
        part = depth[beam * n : beam * n + 256]
        assert part.all() and part.max() < 12, beam
    assert not depth[2 * n + 256 : 2 * n + 512].any()
    del depth, part
    space.close()
