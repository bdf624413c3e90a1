"""What only hardware can show: the machine code computes what the CPU computes, and threads that really run at once
leave the same bits at every call. Skipped where no CUDA device works; sizes fill an H100."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from engines.errors import DeviceError
from engines.grid import Grid
from engines.photon.backend.choice import choose
from engines.photon.backend.cpu import CpuBackend
from engines.photon.backend.cuda_dose import CudaBackend
from engines.photon.backend.cuda_superposition import CudaSuperposition
from engines.photon.backend.protocol import Exposure
from engines.photon.dose import Medium
from engines.photon.frame import beam_frame
from engines.photon.raster import Raster
from engines.photon.superposition.dose import SuperpositionDose
from tests.golden.superposition import model as cone_model

from .test_cones_emulated import DEGREE, random_exposures, random_medium
from .test_emulated import exposure_for, share

pytestmark = pytest.mark.gpu

WIDE = Raster(-158.75, -158.75, 2.5, 128, 128)
REPEATS = 5


@pytest.fixture(scope="module")
def backend() -> CudaBackend:
    try:
        made = choose("cuda").backend
    except DeviceError as error:
        pytest.skip(f"no GPU: {error}")
    assert isinstance(made, CudaBackend)
    return made


def arc(points: int, beams: int) -> Exposure:
    """An arc around a body of random density."""
    rng = np.random.default_rng(3)
    grid = Grid((-150.0, -150.0, -75.0), (3.0, 3.0, 3.0), (51, 101, 101))
    medium = Medium(grid, rng.uniform(0.2, 1.8, grid.shape).astype(np.float32))
    frames = tuple(beam_frame((0.0, 0.0, 0.0), 360.0 * n / beams) for n in range(beams))
    spread = rng.uniform(-1, 1, (points, 3)) * [140.0, 140.0, 70.0]
    return Exposure.of(medium, frames, spread.astype(np.float32))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("shape", [(32, 28), (17, 31), (65, 40), (20, 129)])
@pytest.mark.parametrize("n", [1, 257, 700])
def test_random_problems_agree_with_the_cpu(backend, model, seed, shape, n):
    exposure, raster = exposure_for(seed, n, 3), Raster(-1.25 * shape[0], -1.2 * shape[1], 2.5, *shape)
    rng = np.random.default_rng(seed)
    fluence = rng.uniform(0, 3, (3, raster.nv, raster.nu)).astype(np.float32)
    slope = rng.uniform(-1, 1, n).astype(np.float32)
    cpu, gpu = (one.dose_operator(model, raster, exposure) for one in (CpuBackend(), backend))
    assert share(gpu.forward(fluence), cpu.forward(fluence)) < 1e-5
    assert share(gpu.adjoint(slope), cpu.adjoint(slope)) < 2e-5


@pytest.mark.parametrize("spacing", [(3.0, 3.0, 3.0), (2.6, 3.7, 5.1)])
@pytest.mark.parametrize("shape", [(9, 16, 23), (24, 7, 11), (1, 20, 20), (40, 50, 60)])
def test_random_cones_agree_with_the_cpu(backend, shape, spacing):
    space, still = random_medium(5, shape, spacing), random_exposures(6, 4)
    cpu = SuperpositionDose(cone_model(), space, degree=DEGREE, scatter_degree=DEGREE)
    gpu = CudaSuperposition(backend.device, cone_model(), space, degree=DEGREE, scatter_degree=DEGREE)
    assert share(gpu.on_dose_grid(still), cpu.on_dose_grid(still)) < 2e-5


def test_a_full_device_gives_the_same_bits_at_every_call(backend, model):
    exposure = arc(200_000, 60)
    rng = np.random.default_rng(7)
    fluence = rng.uniform(0, 1, (60, WIDE.nv, WIDE.nu)).astype(np.float32)
    slope = rng.uniform(-1, 1, 200_000).astype(np.float32)
    operator = backend.dose_operator(model, WIDE, exposure)
    dose, gradient = operator.forward(fluence), operator.adjoint(slope)
    assert dose.max() > 0 and np.abs(gradient).max() > 0
    for _ in range(REPEATS):
        assert np.array_equal(operator.forward(fluence), dose)
        assert np.array_equal(operator.adjoint(slope), gradient)
    # Sorting counts with atomics: made anew, the operator must have put the points into the same order.
    assert np.array_equal(backend.dose_operator(model, WIDE, exposure).adjoint(slope), gradient)
    left = float(np.vdot(dose.astype(float), slope))
    right = float(np.vdot(fluence.astype(float), gradient))
    assert abs(left - right) < 1e-6 * float(np.linalg.norm(dose)) * float(np.linalg.norm(slope))


def test_cones_that_fill_a_device_give_the_same_bits_at_every_call(backend):
    space, still = random_medium(8, (60, 70, 80), (3.0, 3.0, 3.0)), random_exposures(9, 5)
    engine = CudaSuperposition(backend.device, cone_model(), space)
    first = engine.on_dose_grid(still)
    assert first.max() > 0
    for _ in range(REPEATS):
        assert np.array_equal(engine.on_dose_grid(still), first)


def test_memory_goes_back_to_the_device(backend, model):
    def used() -> int:
        gc.collect()
        return backend.device.run(lambda: int(backend.device._pool.active_bytes))

    before = used()
    operator = backend.dose_operator(model, WIDE, arc(10_000, 5))
    operator.forward(np.ones((5, WIDE.nv, WIDE.nu), np.float32))
    assert used() > before
    del operator
    assert used() == before


def test_a_problem_larger_than_the_device_is_refused_with_both_numbers(backend, model):
    points = np.zeros((12_000_000, 3), np.float32)
    frames = tuple(beam_frame((0.0, 0.0, 0.0), 0.1 * n) for n in range(3600))
    exposure = Exposure.of(arc(1, 1).medium, frames[:1], points)
    wide = Exposure(exposure.medium, frames, exposure.points_mm, (900.0,) * len(frames))
    with pytest.raises(DeviceError, match=r"needs \d+\.\d+ GiB of device memory and \d+\.\d+ GiB are free"):
        backend.dose_operator(model, WIDE, wide)
