"""What a policy sees: each number at its place, of hundreds of structures as of three."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from appliance.contracts import StructureKind
from appliance.errors import PlanningError
from appliance.evaluation import plan_scorer
from appliance.execution.guide import Foreseen
from appliance.execution.steering.changes import Change
from appliance.execution.steering.episode import PlanningEpisode
from appliance.execution.steering.observation import CONTEXT_FEATURES, TOKEN_FEATURES, VOLUMES_PERCENT

from ...planning.cases import cylinder_case, goal, structure
from .phantom import GOALS, TERMS, action_of, coarse_tps, episode_of


def told(row: np.ndarray) -> dict[str, float]:
    return dict(zip(TOKEN_FEATURES, row.tolist(), strict=True))


def test_names_are_each_of_one_feature():
    assert len(set(TOKEN_FEATURES)) == len(TOKEN_FEATURES)
    assert len(set(CONTEXT_FEATURES)) == len(CONTEXT_FEATURES)


def test_each_number_stands_at_its_name():
    """The mean of the organ, 8 Gy wanted of 20 prescribed; its objective asks for 7.92."""
    foreseen = tuple(Foreseen(g.limit, g.limit * 0.9, g.limit * 1.1) for g in GOALS.goals)
    tps = coarse_tps()
    episode = PlanningEpisode(tps, GOALS, plan_scorer(GOALS), terms=TERMS, foreseen=foreseen)
    view = episode.reset()
    number = next(i for i, lever in enumerate(view.levers) if lever.goal == 2)
    seen, value = told(view.observation.tokens[number]), view.state.goal_values[2]
    assert seen["kind mean_dose"] == seen["has goal"] == seen["active"] == seen["priority 2"] == 1
    assert seen["of a target"] == seen["at least"] == seen["hot spot"] == seen["offered"] == 0
    assert seen["limit"] == pytest.approx(0.4) and seen["dose asked"] == pytest.approx(7.92 / 20)
    assert seen["shortfall"] == pytest.approx(10 * (value / 8 - 1), rel=1e-5)
    assert seen["met"] == float(value <= 8)
    assert seen["foreseen"] == 1 and seen["foreseen shortfall"] == 0
    assert seen["foreseen at best"] == pytest.approx(-1.0)
    curve = [seen[f"dose at {volume:g} %"] * 20 for volume in VOLUMES_PERCENT]
    assert curve == pytest.approx(list(tps.doses_at("Core", VOLUMES_PERCENT)))
    context = dict(zip(CONTEXT_FEATURES, view.observation.context.tolist(), strict=True))
    assert context["calls used"] == 0.25 and context["calls left"] == 0.75
    assert context["score"] == context["best score"] == pytest.approx(view.score / 100)
    assert context["modulation"] == pytest.approx(tps.modulation() / 5)


def test_a_change_shows_where_it_was_made_and_nowhere_else():
    episode = episode_of(coarse_tps())
    first = episode.reset().observation
    number = next(i for i, lever in enumerate(episode.levers) if lever.goal == 2)
    now = episode.step(action_of(episode, {number: Change.RAISE})).observation
    moved = TOKEN_FEATURES.index("log weight")
    assert now.tokens[number, moved] - first.tokens[number, moved] == 0.25
    assert now.tokens[number, TOKEN_FEATURES.index("last change")] == 1.0
    others = np.arange(len(now.tokens)) != number
    np.testing.assert_array_equal(now.tokens[others, moved], first.tokens[others, moved])
    assert not now.tokens[others, TOKEN_FEATURES.index("last change")].any()


def test_hundreds_of_structures_are_seen_each():
    """200 organs of one voxel in the middle of the body, each with a goal of its own."""
    case = cylinder_case()
    body = case.external.voxels.index
    parts, goals = [], []
    for number, index in enumerate(body[body.size // 2 :][:200]):
        share = np.zeros(case.image.grid.shape, np.float32)
        share.reshape(-1)[index] = 1
        parts.append(structure(10 + number, f"Part{number}", StructureKind.ORGAN, share))
        goals.append(goal(f"Part{number}", "Mean", "<=", 8.0, priority=3))
    many = replace(GOALS, goals=(*GOALS.goals, *goals))
    episode = episode_of(coarse_tps(replace(case, structures=(*case.structures, *parts)), many), goals=many)
    view = episode.reset()
    assert len(episode.levers) > 200
    assert view.observation.tokens.shape == (len(episode.levers), len(TOKEN_FEATURES))
    assert np.isfinite(view.observation.tokens).all()


def test_a_prediction_of_other_goals_is_refused():
    with pytest.raises(PlanningError, match="1 values are foreseen for 4 goals"):
        PlanningEpisode(coarse_tps(), GOALS, plan_scorer(GOALS), foreseen=(Foreseen(1.0, 1.0, 1.0),))
