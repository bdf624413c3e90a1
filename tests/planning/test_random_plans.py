"""Any state that an optimiser may reach is exported legal on its machine, delivers the fluence that was optimised, and
comes back from DICOM with the same dose: random leaves and metersets on every machine with every technique."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from appliance.case import read_plan
from appliance.config import PlanningConfig
from appliance.contracts import Case
from appliance.dicomio.files import save_durable
from appliance.dicomio.plan import plan_dataset
from appliance.planning import PhotonTps, calculate_dose, check_plan, dose_options, load_machine
from appliance.planning.leaf_paths import legal
from appliance.planning.machine import MACHINES
from appliance.planning.moving_leaves import MovingLeaves
from appliance.planning.moving_vector import FieldPath, MovingVector
from appliance.planning.pieces import leaf_layers_mm, pieces
from appliance.planning.segments import BeamSegments, SegmentVector, jaws_of, prune
from appliance.planning.step_and_shoot import StepAndShoot
from engines.photon.aperture import ApertureFluence, Apertures

from .cases import SMALL_GOALS, SOURCE, cylinder_case
from .machines import FAR, PAIRS, beam_for, with_every_technique

EVERY = [*PAIRS, (FAR, "sliding_window"), (FAR, "vmat")]
STILL = [pair for pair in EVERY if pair[1] == "step_and_shoot"]


@dataclass(frozen=True, eq=False)
class Started:
    """Sequenced, not optimised."""

    tps: PhotonTps
    case: Case
    config: PlanningConfig


@pytest.fixture(scope="module", params=EVERY, ids="-".join)
def started(request, tmp_path_factory: pytest.TempPathFactory) -> Started:
    machine, technique = request.param
    folder: Path = tmp_path_factory.mktemp(machine)
    return begun(machine if request.param in PAIRS else with_every_technique(machine, folder), technique, folder)


def begun(name: str, technique: str, folder: Path) -> Started:
    config = PlanningConfig(
        machine=name, technique=technique, beam_model=beam_for(name, folder), algorithm="pencil_beam",
        beams=1 if technique == "vmat" else 3, dose_grid_mm=6.0, beamlet_mm=5.0, segments_per_beam=8,
    )  # fmt: skip
    case = cylinder_case(6.0)
    tps = PhotonTps(case, SMALL_GOALS, config)
    tps.optimise_fluence(tps.initial_objectives())
    tps._delivery.start(tps._fluence.beamlets, tps._fluence.values, lambda *_: None)
    tps._sequenced = True
    return Started(tps, case, config)


def scramble(started: Started, seed: int) -> None:
    """Leaves anywhere and metersets between their bounds, brought back as every state of the optimiser is."""
    delivery, rng = started.tps._delivery, np.random.default_rng(seed)
    if isinstance(delivery, StepAndShoot):
        machine = started.tps.machine
        least = machine.dose_rate.minimum_segment_mu
        kept = tuple(prune(beam, least) for beam in delivery._segments)
        vector = SegmentVector(kept, delivery._machine, least)
        start, lower, upper = vector.pack()
        x = rng.uniform(lower, np.where(np.isfinite(upper), upper, 3.0 * np.maximum(start, lower)))
        delivery._segments = vector.unpack(x)
        return
    assert isinstance(delivery, MovingLeaves)
    paths = []
    for path, limits in zip(delivery.paths, delivery.limits, strict=True):
        left = rng.normal(0.0, 40.0, path.left_mm.shape)
        right = left + rng.exponential(15.0, left.shape)
        mu = rng.uniform(limits.least_mu, limits.most_mu, path.mu.shape)
        mu[rng.random(mu.size) < 0.3] = limits.least_mu
        mu[rng.random(mu.size) < 0.1] = limits.most_mu
        paths.append(FieldPath(*legal(left, right, limits.paths), mu))
    delivery.paths = tuple(paths)


def test_the_first_plan_is_deliverable(started):
    assert check_plan(started.tps._delivery.plan(), started.config.machine).violations == ()


@pytest.mark.parametrize("seed", range(3))
def test_every_control_point_of_a_random_plan_is_legal(started, seed):
    scramble(started, seed)
    assert check_plan(started.tps._delivery.plan(), started.config.machine).violations == ()


@pytest.mark.parametrize("started", STILL, indirect=True, ids="-".join)
def test_a_random_plan_delivers_the_fluence_that_was_optimised(started):
    """Of still shapes; those of moving leaves are averages over each interval (tests/engines/photon/test_moving.py)."""
    delivery = started.tps._delivery
    scramble(started, 7)
    plan, raster = delivery.plan(), delivery.dose_model.raster
    optimised = delivery.fluence()
    angles = list(delivery._arrangement.gantry_deg)
    delivered = np.zeros_like(optimised)
    for beam in plan.beams:
        (piece,) = pieces(beam, plan)
        drawer = ApertureFluence(raster, leaf_layers_mm(beam), started.tps.model.collimation)
        delivered[angles.index(beam.gantry_deg)] += drawer.forward(piece.apertures)
        np.testing.assert_allclose(piece.frame.ex, delivery.dose_model.frames[angles.index(beam.gantry_deg)].ex)
    # Leaves are rounded to 0.01 mm and jaws outwards to 0.1 mm, of pixels of 2.5 mm.
    assert np.abs(delivered - optimised).max() < 0.01 * float(optimised.max())


def test_a_random_plan_reads_back_to_the_same_dose(started, tmp_path):
    scramble(started, 3)
    plan, case = started.tps._delivery.plan(), started.case
    item = plan_dataset(plan, identity=case.identity, structure_set=SOURCE, predecessor=None, prescription=())
    read = read_plan(save_durable(item, tmp_path / "RP.dcm").path)
    assert check_plan(read, started.config.machine).violations == ()
    options = dose_options(started.config, case.structures)
    doses = [calculate_dose(one, case.image, case.external.voxels, **options).dose_gy for one in (plan, read)]
    np.testing.assert_allclose(doses[0], doses[1], atol=1e-5 * float(doses[0].max()))


def check_gradient(vector, drawn, gradient_of, seed: int) -> None:
    """Of a random weighing of the fluence, between its one-sided differences in each of 60 variables."""
    x, _, _ = vector.pack()
    rng = np.random.default_rng(seed)
    fluence = drawn(vector.unpack(x))
    weight = rng.normal(size=fluence.shape).astype(np.float32)
    gradient = gradient_of(vector.unpack(x), weight)
    room, step = 0.005 * float(np.abs(gradient).max()), 2e-4
    for k in rng.choice(x.size, 60, replace=False):
        before, here, after = (
            float((drawn(vector.unpack(x + move * np.eye(1, x.size, k)[0])).astype(float) * weight).sum())
            for move in (-step, 0.0, step)
        )
        # Where an edge lies on a pixel's border the slopes of both sides differ.
        sides = ((here - before) / step, (after - here) / step)
        assert min(sides) - room <= gradient[k] <= max(sides) + room


@pytest.mark.parametrize("started", STILL, indirect=True, ids="-".join)
def test_the_gradient_of_still_shapes_is_exact(started):
    """Of leaves inside their windows, no two in line: elsewhere left and right slopes differ."""
    delivery, rng = started.tps._delivery, np.random.default_rng(6)
    scramble(started, 5)
    beams = []
    for beam in delivery._segments:
        a, low, high = beam.apertures, beam.window_mm[:, :1], beam.window_mm[:, 1:]
        move = rng.uniform(0.2, 2.0, (2, *a.left_mm.shape))
        left = np.where(beam.is_open, np.clip(a.left_mm, low + move[0], high - 3.0 - move[0]), 0.0)
        right = np.where(beam.is_open, np.clip(a.right_mm, left + 0.5, high - 0.1 * move[1]), 0.0)
        jaws = jaws_of(left, right, delivery._machine)
        beams.append(BeamSegments(Apertures(left, right, jaws, a.mu), beam.window_mm))
    vector = SegmentVector(tuple(beams), delivery._machine, 0.0)

    def gradient_of(at, weight):
        parts = [delivery._drawer.adjoint(b.apertures, w) for b, w in zip(at, weight, strict=True)]
        return vector.gradient(at, parts)

    check_gradient(vector, delivery._drawn, gradient_of, 5)


@pytest.mark.parametrize("started", [("dual_layer", "sliding_window")], indirect=True, ids="-".join)
def test_the_gradient_of_moving_layers_is_exact(started):
    """Leaves of both layers at every control point, and metersets; no two leaves in line."""
    delivery, rng = started.tps._delivery, np.random.default_rng(1)
    delivery.start(started.tps._fluence.beamlets, started.tps._fluence.values, lambda *_: None)
    paths = []
    for path, limits in zip(delivery.paths, delivery.limits, strict=True):
        low, high = limits.paths.window_a_mm
        left = np.clip(path.left_mm, low + 5, high - 5) + rng.uniform(-2.0, 2.0, path.left_mm.shape)
        right = left + np.clip(path.right_mm - path.left_mm, 1.0, high - left - 0.5)
        paths.append(FieldPath(left, right + rng.uniform(-0.4, 0.4, left.shape), path.mu))
    vector = MovingVector(delivery.fields, delivery.limits, tuple(paths))

    def gradient_of(at, weight):
        return vector.gradient(at, delivery._slopes(at, weight))

    check_gradient(vector, delivery._drawn, gradient_of, 2)


@pytest.mark.parametrize("technique", ["sliding_window", "vmat"])
def test_leaves_that_are_slow_to_start_keep_the_lowest_dose_rate(technique, tmp_path):
    """A tenth of the shipped acceleration: intervals last longer, and the least metersets are made for that."""
    content = (MACHINES / "millennium120.toml").read_text("utf-8")
    slow = tmp_path / "millennium120.toml"
    slow.write_text(content.replace("leaf_acceleration_mm_s2 = 500.0", "leaf_acceleration_mm_s2 = 50.0"), "utf-8")
    made = begun(str(slow), technique, tmp_path)
    for seed in range(3):
        scramble(made, seed)
        plan = made.tps._delivery.plan()
        facts, shipped = check_plan(plan, str(slow)), check_plan(plan, "millennium120")
        assert facts.violations == ()
        assert facts.delivery_time_s > shipped.delivery_time_s


def test_machines_are_those_that_are_shipped():
    assert {name for name, _ in PAIRS} == {load_machine(name).name for name, _ in PAIRS}
    assert len({name for name, _ in PAIRS}) == 5
