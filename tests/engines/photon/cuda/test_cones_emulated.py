"""The GPU's collapsed cone, compiled for the host, computes what the CPU's does. What that proves and what not:
test_emulated.py."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.errors import DeviceError
from engines.grid import Grid
from engines.photon.backend.cone_sweep import SLOTS, AxisOrder, SortedLines, most_lines
from engines.photon.backend.cuda_dose import CudaBackend
from engines.photon.backend.cuda_superposition import CudaSuperposition, bytes_needed
from engines.photon.calibrate import square_field
from engines.photon.dose import Medium
from engines.photon.frame import beam_frame
from engines.photon.superposition.dose import SuperpositionDose
from engines.photon.superposition.incidence import Exposure
from engines.photon.superposition.sweep import MOST_LINES
from tests.golden.superposition import STORED, exposures, medium, model, solve_on_device
from tests.golden.test_superposition import TOLERANCE

from .emulated import EmulatedDevice
from .test_emulated import share, whole_raster

DEGREE = 5
"""Of the rule: 14 cones, which see every octant; 110 are for the golden problem."""


def random_medium(seed: int, shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> Medium:
    rng = np.random.default_rng(seed)
    density = (rng.uniform(0.2, 2, shape) * (rng.random(shape) < 0.9)).astype(np.float32)
    density[tuple(n // 2 for n in shape)] = 1.0
    origin = [-s * (n - 1) / 2 for s, n in zip(spacing, shape[::-1], strict=True)]
    return Medium(Grid((origin[0], origin[1], origin[2]), spacing, shape), density)


def random_exposures(seed: int, count: int) -> list[Exposure]:
    """Turned in every way; each source comes twice in a row, with another field."""
    angles = np.random.default_rng(seed).uniform(-90, 90, (count, 3))
    frames = [beam_frame((1.0, 2.0, -3.0), 2 * g, collimator_deg=c, couch_deg=t) for g, c, t in angles]
    return [Exposure(frame, whole_raster, (-h, h, -h, h / 2)) for frame in frames for h in (12.0, 17.0)]


def test_the_golden_file_holds_for_the_gpus_cones(device):
    with np.load(STORED) as file:
        known = file["dose"]
    got = solve_on_device(CudaBackend(device))
    assert got.shape == known.shape
    assert np.abs(got - known).max() <= TOLERANCE * known.max()


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    shape=st.sampled_from([(9, 16, 23), (24, 7, 11), (1, 20, 20), (13, 31, 5), (16, 16, 16)]),
    spacing=st.sampled_from([(3.0, 3.0, 3.0), (2.6, 3.7, 5.1), (6.0, 2.5, 3.2)]),
    beams=st.sampled_from([1, 2, 4, 12]),
)
def test_random_problems_agree_with_the_cpu(library, seed, shape, spacing, beams):
    """Grids that are longer than wide and the other way round, voxels of three sizes, holes, sources in groups."""
    device, space, still = EmulatedDevice(library), random_medium(seed, shape, spacing), random_exposures(seed, beams)
    cpu = SuperpositionDose(model(), space, degree=DEGREE, scatter_degree=DEGREE)
    gpu = CudaSuperposition(device, model(), space, degree=DEGREE, scatter_degree=DEGREE)
    assert share(gpu.on_dose_grid(still), cpu.on_dose_grid(still)) < 2e-5
    np.testing.assert_allclose(gpu.released(still), cpu.released(still), rtol=1e-5)
    device.check_guards()


def test_weak_energy_of_an_arc_goes_to_wide_groups_as_on_the_cpu(device):
    """Twelve directions over 110 degrees, small fields: most of what is released beside them is handed over."""
    space = random_medium(8, (12, 20, 20), (4.0, 4.0, 4.0))
    still = [
        Exposure(beam_frame((0.0, 0.0, 0.0), 10.0 * n), lambda raster: square_field(raster, 20.0), (-10.0, 10.0) * 2)
        for n in range(12)
    ]
    cpu = SuperpositionDose(model(), space, degree=DEGREE, scatter_degree=DEGREE, group_deg=5.0)
    gpu = CudaSuperposition(device, model(), space, degree=DEGREE, scatter_degree=DEGREE, group_deg=5.0)
    assert share(gpu.on_dose_grid(still), cpu.on_dose_grid(still)) < 2e-5
    assert "hand_over" in device.launched


def test_no_exposure_is_no_dose(device):
    dose = CudaSuperposition(
        device, model(), random_medium(1, (6, 7, 8), (3.0, 3.0, 3.0)), degree=DEGREE, scatter_degree=DEGREE
    ).calculate([])
    assert not dose.any()


def test_every_call_gives_the_same_bits(device):
    """Whatever was calculated between: neither slots nor depths nor energy are left over."""
    engine = CudaSuperposition(
        device, model(), random_medium(2, (9, 10, 11), (3.0, 3.0, 3.0)), degree=DEGREE, scatter_degree=DEGREE
    )
    still = random_exposures(3, 3)
    first = engine.on_dose_grid(still)
    engine.on_dose_grid(random_exposures(4, 1))
    assert np.array_equal(engine.on_dose_grid(still), first)


def test_the_order_of_threads_does_not_show(device):
    """No thread reads or adds to what another of its launch writes: the last thread first, the same bits."""
    engine = CudaSuperposition(
        device, model(), random_medium(5, (12, 9, 14), (3.0, 2.5, 4.0)), degree=DEGREE, scatter_degree=DEGREE
    )
    still = random_exposures(7, 3)
    first = engine.on_dose_grid(still)
    device.last_thread_first(True)
    try:
        assert np.array_equal(engine.on_dose_grid(still), first)
    finally:
        device.last_thread_first(False)


def test_only_heads_go_up_and_only_the_dose_comes_down(device):
    """And of each set of lines its number, direction and weights."""
    engine = CudaSuperposition(device, model(), medium())
    before = device.copied_bytes
    dose = engine.on_dose_grid(exposures())
    heads = sum(h.maps.nbytes for both, _, _ in engine._heads(exposures(), lambda _: None) for h in both)
    groups, coarse = 2, 4 * engine.scatter_grid.grid.size
    records, maxima = 3 * 2 * 2 * 32 * groups, 3 * 4 * groups
    rest = device.copied_bytes - before - dose.nbytes - coarse - heads - records - maxima
    a_set = 4 * (12 * groups + 3 + 1)
    assert rest % a_set == 0
    cones = 110 + 302 + 110
    assert cones <= rest // a_set <= MOST_LINES * cones


@pytest.mark.parametrize("shape", [(5, 40, 9), (40, 5, 12), (8, 9, 40)])
def test_there_is_a_thread_for_every_line(device, shape):
    """Lines that cover every voxel, counted one by one, are no more than what is launched."""
    rng = np.random.default_rng(6)
    lanes_last = rng.normal(size=(60, 3))
    lanes_last[np.abs(lanes_last).argmax(axis=1) == 0] *= (0.1, 1.0, 1.0)  # x, along which lanes lie, is not steepest
    lanes_last /= np.linalg.norm(lanes_last, axis=1, keepdims=True)
    grid = Grid((0.0, 0.0, 0.0), (2.0, 2.0, 2.0), shape)
    order = AxisOrder.of(device, grid, np.ones(shape, np.float32), (0, 1, 2), np.ones(60, np.bool_))
    lines = SortedLines.of(order, lanes_last, np.zeros((60, 1, 12), np.float32))
    for w, bound in zip(lines.directions.astype(float), most_lines(order, lines.directions), strict=True):
        slab = 0 if abs(w[0]) >= abs(w[1]) else 1
        row = 1 - slab
        worst = 0
        for phase in (0.0, 0.5, 0.999):
            slabs = np.arange(shape[slab])
            first = [np.floor(w[axis] / abs(w[slab]) * slabs + phase) for axis in (row, 2)]
            rows, lanes = (shape[axis] + np.ptp(shift) for axis, shift in zip((row, 2), first, strict=True))
            worst = max(worst, rows * lanes)
        assert worst <= bound <= 3 * worst + 200


def test_memory_goes_back_and_the_estimate_is_not_low(library):
    """What a calculation allocates beside what stays, at the moment of its last kernel."""
    most = [0]

    class Watched(EmulatedDevice):
        def launch(self, launches):
            super().launch(launches)
            if launches[-1].kernel == "add_slots":
                most[0] = max(most[0], sum(block.size - 2 * self.GUARD for block in self.blocks.values()))

    device = Watched(library)
    engine = CudaSuperposition(device, model(), medium())
    gc.collect()
    stays = sum(block.size - 2 * device.GUARD for block in device.blocks.values())
    engine.on_dose_grid(exposures())
    gc.collect()
    assert sum(block.size - 2 * device.GUARD for block in device.blocks.values()) == stays
    small = 2 * (4 * 14 * 302 * MOST_LINES + 80) + max(
        sum(h.maps.nbytes for h in both) for both, _, _ in engine._heads(exposures(), lambda _: None)
    )
    wanted = bytes_needed(engine.where.grid.shape, engine.scatter_grid.grid.shape, 2)
    assert 0.8 * wanted < most[0] - stays <= wanted + small
    del engine
    gc.collect()
    assert not device.blocks


def test_a_dose_that_does_not_fit_is_refused_with_both_numbers(library):
    device = EmulatedDevice(library, free_bytes=4 * SLOTS * medium().grid.size)
    with pytest.raises(DeviceError, match=r"needs 0\.\d+ GiB of device memory and 0\.\d+ GiB are free"):
        CudaSuperposition(device, model(), medium()).on_dose_grid(exposures())


def test_the_clock_of_a_benchmark_counts_every_part(device):
    seconds = CudaSuperposition(device, model(), medium(), degree=DEGREE, scatter_degree=DEGREE).kernel_seconds(
        exposures()
    )
    assert set(seconds) == {"released energy", "weak energy", "turning and hulls", "sweeps", "sum of slots"}
    assert seconds["released energy"] == len(exposures())  # the emulation says 1 s each time it is asked
