"""The network of arcs: exact where left becomes right, one in PyTorch and ONNX, and worth something on a toy."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")

from appliance.planning.moving_vector import FieldPath  # noqa: E402
from models.arc_policy.export import onnx_bytes  # noqa: E402
from models.arc_policy.features import CHANNELS, mirror  # noqa: E402
from models.arc_policy.network import ArcNetwork, weights_of  # noqa: E402
from models.arc_policy.steps import follow, opened  # noqa: E402
from models.arc_policy.system import ArcTps, coarse_config  # noqa: E402
from models.arc_policy.train import MERIT_RATE, School, answering, imitate  # noqa: E402

from ..planning.cases import cylinder_case, goal, goal_set  # noqa: E402

torch.set_num_threads(1)
GOALS = goal_set(goal("PTV", "D95%", ">=", 19.5), goal("PTV", "D2%", "<=", 22.0), goal("Core", "Mean", "<=", 4.0))
NEAR = 1e-4


@pytest.fixture(scope="module")
def toy() -> ArcTps:
    return ArcTps(cylinder_case(spacing_mm=8.0), GOALS, coarse_config(), thin=2)


@pytest.fixture
def shaken() -> ArcNetwork:
    torch.manual_seed(3)
    network = ArcNetwork().eval()
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.05 * torch.randn(weight.shape))
    return network


def maps(points: int, pairs: int) -> np.ndarray:
    return np.random.default_rng(points).normal(size=(len(CHANNELS), points, pairs)).astype(np.float32)


def test_it_is_small():
    assert 20_000 <= weights_of(ArcNetwork()) <= 80_000


@torch.no_grad()
def test_exchanging_left_and_right_exchanges_the_answer(shaken):
    order, signs = mirror()
    seen = maps(12, 6)
    leaves, log_mu = answering(shaken)(seen)
    other, other_mu = answering(shaken)(seen[order] * signs[:, None, None])
    assert other == pytest.approx(-leaves[::-1], abs=NEAR)
    assert other_mu == pytest.approx(log_mu, abs=NEAR)


@pytest.mark.parametrize(("points", "pairs"), [(2, 1), (9, 5), (180, 28)])
def test_the_file_is_the_network(shaken, points, pairs):
    in_file = opened(onnx_bytes(shaken))
    for mine, other in zip(answering(shaken)(maps(points, pairs)), in_file(maps(points, pairs)), strict=True):
        assert mine.shape == other.shape
        assert other == pytest.approx(mine, abs=NEAR)


def test_a_new_network_changes_nothing(toy):
    school = School([toy])
    merits = [look.merit for look in school.looks(ArcNetwork(), 0)]
    assert merits == pytest.approx([merits[0]] * len(merits), rel=1e-3)


def test_slopes_are_those_of_the_merit(toy):
    School([toy])
    evaluate = toy.watch(toy.initial_objectives())
    look, step = toy.look(evaluate), 1e-2
    path, slope = look.paths[0], look.slopes[0]
    unit = float(np.sqrt((slope.left_mm**2).mean())), float(np.sqrt((slope.mu**2).mean()))
    along = FieldPath(slope.left_mm / unit[0], slope.right_mm / unit[0], 0.05 * slope.mu / unit[1])

    def merit(size: float) -> float:
        toy.leaves.paths = (
            FieldPath(
                path.left_mm + size * along.left_mm, path.right_mm + size * along.right_mm, path.mu + size * along.mu
            ),
        )
        return toy.look(evaluate).merit

    measured = (merit(step) - merit(-step)) / (2 * step)
    parts = ((slope.left_mm, along.left_mm), (slope.right_mm, along.right_mm), (slope.mu, along.mu))
    assert measured == pytest.approx(sum(float((a * b).sum()) for a, b in parts), rel=0.03)


def test_following_never_makes_the_start_worse(toy, shaken):
    School([toy])
    looks = follow(toy, toy.watch(toy.initial_objectives()), answering(shaken))
    assert toy.look(toy.watch(toy.initial_objectives())).merit <= looks[0].merit * 1.01


def test_it_learns_a_toy_by_its_merit(toy):
    torch.manual_seed(1)
    network, school = ArcNetwork(), School([toy])
    optimiser = torch.optim.Adam(network.parameters(), MERIT_RATE)
    for _ in range(7):
        school.lesson(network, optimiser, 0)
    assert school.gain(network) < -0.2


def test_imitation_finds_a_rule_that_is_there():
    """Leaves go where their slope channel says."""
    place = CHANNELS.index("by_left"), CHANNELS.index("by_right")
    lessons = [(one, -one[list(place)], np.zeros(11, np.float32)) for one in (maps(12, n) for n in range(4, 10))]
    torch.manual_seed(1)
    assert imitate(ArcNetwork(), lessons, 40, seed=1) < 0.1
