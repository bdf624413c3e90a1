"""The GPU's kernels, compiled for the host and run thread by thread, compute what the CPU backend computes.

This proves the arithmetic, indices and layouts of the very source that nvcc compiles, and the Python that launches it.
It does not prove what only hardware can: speed, memory ordering, the behaviour of a driver.
"""

from __future__ import annotations

import gc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.errors import DeviceError, EngineError
from engines.grid import Grid
from engines.photon.backend import points as device_points
from engines.photon.backend.cpu import CpuBackend
from engines.photon.backend.cuda_dose import CudaBackend, CudaDoseOperator
from engines.photon.backend.maps import DeviceMaps
from engines.photon.backend.protocol import Exposure
from engines.photon.backend.selftest import disagreement
from engines.photon.convolution import KernelMaps
from engines.photon.dose import Medium
from engines.photon.frame import beam_frame
from engines.photon.raster import Raster
from tests.golden.problem import STORED, solve_on_device
from tests.golden.test_backends import TOLERANCE

from .emulated import EmulatedDevice

SMALL = Raster(-38.75, -33.75, 2.5, 32, 28)


def exposure_for(seed: int, n: int, beams: int) -> Exposure:
    """Random points in and around a random medium under random beams, couch and collimator turned."""
    rng = np.random.default_rng(seed)
    grid = Grid((-30.0, -28.0, -26.0), (4.0, 3.0, 5.0), (11, 19, 16))
    medium = Medium(grid, rng.uniform(0, 2, grid.shape).astype(np.float32))
    frames = tuple(
        beam_frame((1.0, 2.0, -3.0), g, collimator_deg=c, couch_deg=t) for g, c, t in rng.uniform(-80, 80, (beams, 3))
    )
    return Exposure.of(medium, frames, rng.uniform(-45, 45, (n, 3)).astype(np.float32))


def whole_raster(raster: Raster) -> np.ndarray:
    return np.ones((raster.nv, raster.nu), np.float32)


def share(got: np.ndarray, known: np.ndarray) -> float:
    """Largest difference in shares of the maximum; where all is zero, all must be."""
    return float(np.abs(got - known).max() / max(np.abs(known).max(), 1e-30))


def test_the_golden_file_holds_for_the_gpus_kernels(device):
    result = solve_on_device(CudaBackend(device))
    with np.load(STORED) as stored:
        for name in stored.files:
            known, got = stored[name], getattr(result, name)
            scale = np.abs(known).max(axis=(0, 1)) if name == "geometry" else np.abs(known).max()
            assert np.all(np.abs(got - known) <= TOLERANCE * scale), name


def test_the_self_test_passes(device):
    assert disagreement(CudaBackend(device)) < 2e-5


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.sampled_from([1, 7, 255, 256, 257, 700]),
    beams=st.integers(1, 4),
    shape=st.sampled_from([(32, 28), (17, 31), (64, 64), (65, 40), (20, 129)]),
)
def test_random_problems_agree_with_the_cpu(library, model, seed, n, beams, shape):
    """Sizes on, before and behind a block, a tile and a warp."""
    device, exposure = EmulatedDevice(library), exposure_for(seed, n, beams)
    raster = Raster(-1.25 * shape[0], -1.2 * shape[1], 2.5, *shape)
    rng = np.random.default_rng(seed)
    fluence = rng.uniform(0, 3, (beams, raster.nv, raster.nu)).astype(np.float32)
    slope = (rng.uniform(-1, 1, n) * (rng.random(n) < 0.8) + 1e-3).astype(np.float32)
    cpu = CpuBackend().dose_operator(model, raster, exposure)
    gpu = CudaBackend(device).dose_operator(model, raster, exposure)
    assert share(gpu.forward(fluence), cpu.forward(fluence)) < 1e-5
    assert share(gpu.adjoint(slope), cpu.adjoint(slope)) < 2e-5
    device.check_guards()


def test_forward_and_adjoint_are_transposes(device, model):
    exposure = exposure_for(5, 400, 3)
    operator = CudaBackend(device).dose_operator(model, SMALL, exposure)
    rng = np.random.default_rng(6)
    x = rng.uniform(0, 1, (3, SMALL.nv, SMALL.nu)).astype(np.float32)
    y = rng.uniform(-1, 1, 400).astype(np.float32)
    left = float(np.vdot(operator.forward(x).astype(float), y))
    right = float(np.vdot(x.astype(float), operator.adjoint(y)))
    scale = float(np.linalg.norm(operator.forward(x).astype(float)) * np.linalg.norm(y.astype(float)))
    assert abs(left - right) < 1e-6 * scale


def test_work_in_groups_of_beams_gives_the_same_bits(device, model, monkeypatch):
    """Scratch memory is bounded by working on a few beams at a time; that must not show."""
    exposure, slope = exposure_for(8, 300, 5), np.linspace(-1, 1, 300).astype(np.float32)
    whole = CudaBackend(device).dose_operator(model, SMALL, exposure).adjoint(slope)
    monkeypatch.setattr(device_points, "SORTED_AT_ONCE", 2 * 300)
    monkeypatch.setattr(device_points, "SUMMED_AT_ONCE", 2 * 48 * SMALL.nu * SMALL.nv)
    parts = CudaBackend(device).dose_operator(model, SMALL, exposure).adjoint(slope)
    assert np.array_equal(whole, parts)


def test_points_are_summed_in_their_own_order(device, model):
    """The sum of a cell is that of its points in ascending order, dealt to eight threads: known bits, not a race's."""
    exposure = exposure_for(9, 900, 1)
    operator = CudaBackend(device).dose_operator(model, SMALL, exposure)
    order = np.frombuffer(device.blocks[operator._sorted._order.address], np.int32, 900, device.GUARD)
    begin = np.frombuffer(
        device.blocks[operator._sorted._begin.address], np.int32, SMALL.nu * SMALL.nv + 1, device.GUARD
    )
    assert begin[0] == 0 and np.all(np.diff(begin) >= 0)
    inside = order[: begin[-1]]
    assert np.unique(inside).size == inside.size
    assert all(np.all(np.diff(order[a:b]) > 0) for a, b in pairwise(begin))
    geometry = operator.geometry()[0]
    u, v = (geometry[:, 0] - SMALL.u0_mm) / 2.5, (geometry[:, 1] - SMALL.v0_mm) / 2.5
    seen = (u >= 0) & (v >= 0) & (u < SMALL.nu - 1) & (v < SMALL.nv - 1)
    assert np.array_equal(np.sort(inside), np.flatnonzero(seen))


@pytest.mark.parametrize("shape", [(30, 30), (45, 32), (27, 50)])
def test_hartley_products_are_the_cyclic_convolution(device, model, shape):
    """Against the CPU's Fourier transforms, for square, wide and tall rasters of odd and even sizes."""
    raster = Raster(-1.25 * shape[0], -1.25 * shape[1], 2.5, *shape)
    maps = DeviceMaps(device, model, raster, (900.0, 850.0, 900.0))
    fluence = np.random.default_rng(3).uniform(0, 1, (3, raster.nv, raster.nu)).astype(np.float32)
    device.upload(maps.fluence.address, fluence)
    device.launch(maps.forward)
    got = np.empty((3, raster.nv, raster.nu, 4), np.float32)
    device.download(maps.maps.address, got)
    assert share(got, KernelMaps(model, raster, (900.0, 850.0, 900.0)).forward(fluence)) < 3e-6


def test_only_fluence_and_dose_cross_the_bus(device, model):
    operator = CudaBackend(device).dose_operator(model, SMALL, exposure_for(1, 300, 2))
    fluence = np.ones((2, SMALL.nv, SMALL.nu), np.float32)
    before = device.copied_bytes
    operator.forward(fluence)
    operator.adjoint(np.ones(300, np.float32))
    assert device.copied_bytes - before == 2 * (fluence.nbytes + 4 * 300)


def test_added_points_take_their_place(device, model):
    exposure = exposure_for(2, 60, 2)
    added = np.array([[0, 0, 0], [5, 5, 5]], np.float32)
    order = np.random.default_rng(0).permutation(62)
    fluence = np.ones((2, SMALL.nv, SMALL.nu), np.float32)
    doses = [
        backend.dose_operator(model, SMALL, exposure).with_points(added, order).forward(fluence)
        for backend in (CpuBackend(), CudaBackend(device))
    ]
    assert share(doses[1], doses[0]) < 1e-5
    first = CpuBackend().dose_operator(model, SMALL, exposure).forward(fluence)
    assert share(doses[1][np.argsort(order)[:60]], first) < 1e-5


def test_final_doses_add_up_and_start_again_after_each_take(device, model):
    medium, frames = exposure_for(3, 1, 2).medium, exposure_for(3, 1, 2).frames
    wanted = medium.density > 0.5
    sums = [backend.dose_sum(model, medium, wanted) for backend in (CpuBackend(), CudaBackend(device))]
    taken = []
    for one in sums:
        one.add(frames[0], whole_raster, field_extent_mm=(-15, 15, -10, 10), pitch_mm=2.5)
        one.add(frames[1], whole_raster, field_extent_mm=(-10, 20, -10, 10), pitch_mm=2.5)
        both = one.take()
        one.add(frames[0], whole_raster, field_extent_mm=(-15, 15, -10, 10), pitch_mm=2.5)
        taken.append((both, one.take()))
    for got, known in zip(taken[1], taken[0], strict=True):
        assert share(got, known) < 3e-5
        assert not got[~wanted].any() and got[wanted].all()
    assert not np.array_equal(taken[1][0], taken[1][1])


def test_memory_goes_back_with_the_last_reference(device, model):
    exposure = exposure_for(4, 200, 2)
    backend = CudaBackend(device)
    operator = backend.dose_operator(model, SMALL, exposure)
    operator.forward(np.ones((2, SMALL.nv, SMALL.nu), np.float32))
    assert device.blocks and device.pinned
    del operator
    gc.collect()
    assert len(device.blocks) == 1 and not device.pinned  # the medium's density stays for the next operator
    del exposure
    gc.collect()
    assert not device.blocks


def test_a_problem_that_does_not_fit_is_refused_before_anything_is_allocated(library, model):
    device = EmulatedDevice(library, free_bytes=100_000)
    with pytest.raises(DeviceError, match=r"needs 0\.\d+ GiB of device memory and 0\.00 GiB are free"):
        CudaBackend(device).dose_operator(model, SMALL, exposure_for(1, 300, 2))
    assert not device.blocks


def test_the_memory_that_is_asked_for_is_what_is_used(device, model):
    """The estimate that refuses a plan may be high by a tenth, never low."""
    from engines.photon.backend.cuda_dose import bytes_needed

    exposure = exposure_for(1, 3000, 4)
    operator = CudaBackend(device).dose_operator(model, SMALL, exposure)
    density = exposure.medium.box[1].nbytes
    used = sum(block.size - 2 * device.GUARD for block in device.blocks.values()) - density
    wanted = bytes_needed(SMALL, 4, 3000)
    assert isinstance(operator, CudaDoseOperator)
    assert 0.6 * wanted < used <= wanted + 1024


@pytest.mark.parametrize("wrong", [(3, 28, 32), (2, 32, 28)])
def test_arrays_of_another_shape_are_refused(device, model, wrong):
    operator = CudaBackend(device).dose_operator(model, SMALL, exposure_for(1, 50, 2))
    with pytest.raises(EngineError, match="fluence must be"):
        operator.forward(np.zeros(wrong, np.float32))
    with pytest.raises(EngineError, match="dose gradient must be"):
        operator.adjoint(np.zeros(51, np.float32))
