"""The planning stage with the real planning system on a small cylinder: policies usable or not, budgets, refusals."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from appliance.config import Config, PlanningConfig
from appliance.contracts import Planned
from appliance.contracts.progress import silent
from appliance.errors import PlanningError
from appliance.execution.policies.in_range import FORMAT
from appliance.execution.steering.observation import CONTEXT_FEATURES, TOKEN_FEATURES
from appliance.planning import check_plan
from appliance.session_plan import _with_static_beams, planned
from appliance.session_policy import steering_of
from appliance.session_work import planned_facts
from engines.runtime.registry import Registry, load_registry

from ..planning.cases import cylinder_case, goal, goal_set

GOALS = goal_set(
    goal("PTV", "D95%", ">=", 19.5), goal("PTV", "D2%", "<=", 22.0), goal("Core", "Mean", "<=", 9.0, priority=3)
)
REGISTERED = """
format = "couchside-models-1"
[[model]]
name = "policy"
title = "A policy that stops"
file = "policy.onnx"
sha256 = "{digest}"
licence = "MIT"
source = "made by the tests"
trained_for = "nothing"
precision = {{ fp32 = 1e-5 }}
"""
TENSOR = """
[[model.{side}]]
name = "{name}"
meaning = "as the policy has it"
unit = "none"
axes = {axes}
shape = {shape}
"""
LEVERS, CHANGES = 5, 6
NEVER_OPENED = -7.0
"""Logits that make networks of their own: one that was opened is not read again."""


def config(**changes: object) -> Config:
    small = {"segments_per_beam": 3, "dose_grid_mm": 6.0, "algorithm": "pencil_beam", "beams": 3, "sparing_rounds": 1}
    return Config(planning=PlanningConfig.model_validate(small | {"policy": "learned"} | changes))


def network(stop: float) -> bytes:
    """Likes tightening best, by 3, and leaves it to whoever asks what is legal; the same logit of stopping always."""
    liking = np.zeros(CHANGES, np.float32)
    liking[3] = 3.0
    nodes = [
        helper.make_node("Mul", ["legal", "nought"], ["even"]),
        helper.make_node("Add", ["even", "liking"], ["logits"]),
        helper.make_node("ReduceMean", ["context"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("Mul", ["mean", "nought"], ["value"]),
        helper.make_node("ReduceMean", ["tokens"], ["seen"], axes=[1, 2], keepdims=0),
        helper.make_node("ReduceMean", ["present"], ["there"], axes=[1], keepdims=0),
        helper.make_node("Add", ["seen", "there"], ["both"]),
        helper.make_node("Mul", ["both", "nought"], ["flat"]),
        helper.make_node("Add", ["flat", "ending"], ["stop"]),
    ]
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "policy",
        [
            info("tokens", TensorProto.FLOAT, ["b", "n", len(TOKEN_FEATURES)]),
            info("present", TensorProto.FLOAT, ["b", "n"]),
            info("context", TensorProto.FLOAT, ["b", len(CONTEXT_FEATURES)]),
            info("legal", TensorProto.FLOAT, ["b", "n", CHANGES]),
        ],
        [
            info("logits", TensorProto.FLOAT, ["b", "n", CHANGES]),
            info("stop", TensorProto.FLOAT, ["b"]),
            info("value", TensorProto.FLOAT, ["b"]),
        ],
        [
            numpy_helper.from_array(np.float32(0.0), "nought"),
            numpy_helper.from_array(np.float32(stop), "ending"),
            numpy_helper.from_array(liking, "liking"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def registry_of(folder: Path, *, stop: float = -1.0, widest: float = 1e6) -> Registry:
    """A registry with a network and the range of its training: everything up to `widest`."""
    content = network(stop)
    (folder / "policy.onnx").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    text = REGISTERED.format(digest=digest)
    sizes = {"tokens": [1, LEVERS, len(TOKEN_FEATURES)], "present": [1, LEVERS], "context": [1, len(CONTEXT_FEATURES)]}
    sizes["legal"] = [1, LEVERS, CHANGES]
    for name, shape in sizes.items():
        text += TENSOR.format(side="input", name=name, axes=json.dumps(["a"] * len(shape)), shape=shape)
    for name, shape in {"logits": [1, LEVERS, CHANGES], "stop": [1], "value": [1]}.items():
        text += TENSOR.format(side="output", name=name, axes=json.dumps(["a"] * len(shape)), shape=shape)
    (folder / "registry.toml").write_text(text, "utf-8")
    known = {
        "format": FORMAT,
        "sha256": digest,
        "levers": [1, 200],
        "tokens": {name: [-widest, widest] for name in TOKEN_FEATURES},
        "context": {name: [-widest, widest] for name in CONTEXT_FEATURES},
    }
    (folder / "range.json").write_text(json.dumps(known), "utf-8")
    return load_registry(folder / "registry.toml")


@pytest.fixture(scope="module")
def case():
    return cylinder_case(6.0)


def deliverable(made: Planned) -> bool:
    assert made.dose.plan_digest == made.plan.digest
    return check_plan(made.plan, "millennium120").deliverable


def plan(case, registry: Registry | None = None, **changes: object) -> Planned:
    wanted = config(**changes)
    return planned(wanted, case, GOALS, None, silent, steering=steering_of(wanted, registry))


def test_the_learned_policy_explores_and_is_named_with_its_network(case, tmp_path):
    registry = registry_of(tmp_path)
    made = plan(case, registry)
    assert deliverable(made)
    assert made.facts.policy == made.story.policy == "learned"
    assert made.facts.policy_sha256 == registry.entry("policy").sha256
    assert made.facts.calls == 15
    assert made.facts.fallback == ""
    exploring = [step for step in made.story.steps if step.stage == "exploring"]
    assert len(exploring) == 15
    assert {change.what for change in exploring[1].changed} == {"tighten"}
    facts = planned_facts(made)
    assert facts["planning"]["policy_sha256"] == registry.entry("policy").sha256
    assert json.loads(json.dumps(facts)) == facts


def test_out_of_its_range_the_rules_plan_and_it_is_said(case, tmp_path):
    made = plan(case, registry_of(tmp_path, widest=1e-3))
    assert deliverable(made)
    assert made.facts.policy == "rules"
    assert "outside what its training saw" in made.facts.fallback
    assert any(
        note.startswith("Planned by the rules: the learned policy did not plan to its end") for note in made.notes
    )


def _altered(folder: Path) -> None:
    path = folder / "policy.onnx"
    path.write_bytes(path.read_bytes()[:-40] + b"x" * 40)


def _missing(folder: Path) -> None:
    (folder / "policy.onnx").unlink()


def _no_network(folder: Path) -> None:
    """Registered as it is, and no network all the same."""
    (folder / "policy.onnx").write_bytes(b"not a network")
    text = (folder / "registry.toml").read_text("utf-8")
    old = text.split('sha256 = "')[1][:64]
    new = hashlib.sha256(b"not a network").hexdigest()
    (folder / "registry.toml").write_text(text.replace(old, new), "utf-8")


def _without_range(folder: Path) -> None:
    (folder / "range.json").unlink()


def _unregistered(folder: Path) -> None:
    text = (folder / "registry.toml").read_text("utf-8")
    (folder / "registry.toml").write_text(text.replace('name = "policy"', 'name = "another"'), "utf-8")


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (_altered, "is not the registered one"),
        (_missing, "cannot be read"),
        (_no_network, "cannot be run here"),
        (_without_range, "range.json"),
        (_unregistered, "no model 'policy' is registered"),
    ],
)
def test_a_policy_that_is_not_usable_is_named_and_the_rules_plan(tmp_path, harm, said):
    registry_of(tmp_path, stop=NEVER_OPENED)
    harm(tmp_path)
    steering = steering_of(config(), load_registry(tmp_path / "registry.toml"))
    assert steering.sha256 == ""
    assert said in steering.fallback()


def test_with_an_unusable_policy_there_is_a_plan_with_the_reason(case, tmp_path):
    registry_of(tmp_path, stop=NEVER_OPENED - 1)
    _altered(tmp_path)
    made = plan(case, load_registry(tmp_path / "registry.toml"))
    assert deliverable(made)
    assert made.facts.policy == "rules"
    assert any("is not the registered one" in note for note in made.notes)
    assert made.story.fallback == made.facts.fallback


@pytest.mark.parametrize("budget_s", [0.01, 3.0])
def test_a_real_budget_however_small_gives_a_deliverable_plan(case, tmp_path, budget_s):
    made = plan(case, registry_of(tmp_path), budget_s=budget_s)
    assert deliverable(made)
    assert made.facts.budget_s == budget_s


def test_moving_leaves_are_planned_in_the_same_way(case, tmp_path):
    registry = registry_of(tmp_path, stop=1.0)
    made = plan(case, registry, technique="sliding_window", sparing_rounds=0, budget_s=0.01)
    assert deliverable(made)
    assert made.facts.kept == "preliminary"


def test_the_template_alone(case):
    made = plan(case, policy="template")
    assert deliverable(made)
    assert made.facts.policy == "template"
    assert [step.stage for step in made.story.steps] == ["preliminary", "final"]


def test_without_a_target_it_is_a_named_refusal(case):
    without = replace(case, structures=tuple(s for s in case.structures if s.tg263 != "PTV"))
    with pytest.raises(PlanningError, match="target"):
        planned(config(policy="rules"), without, GOALS, None, silent)


def test_hundreds_of_structures_are_planned_by_the_rules(case, tmp_path):
    """More objectives than exploring takes on: it is left out with the reason, and the plan is there all the same."""
    organ = case.structure("Core")
    many = tuple(replace(organ, number=10 + i, name=f"Organ{i}", tg263=f"Organ{i}") for i in range(300))
    goals = tuple(goal(f"Organ{i}", "Mean", "<=", 15.0, priority=3) for i in range(300))
    crowded = replace(case, structures=(*case.structures, *many))
    wanted = config(sparing_rounds=0)
    made = planned(
        wanted, crowded, replace(GOALS, goals=(*GOALS.goals, *goals)), None, silent,
        steering=steering_of(wanted, registry_of(tmp_path)),
    )  # fmt: skip
    assert deliverable(made)
    assert any("objectives, more than" in note for note in made.notes)


@pytest.mark.parametrize("budget_s", [0.0, 0.01], ids=["to its end", "no time"])
def test_an_arc_is_explored_with_static_beams_and_planned_as_an_arc(tmp_path, budget_s):
    """The whole way of a session: preliminary arc, exploring, improving, the better one kept; and without time the
    preliminary arc alone."""
    explored: list[int] = []

    def told(step: str, _: float) -> None:
        explored.append(step.startswith("planner: exploring"))

    wide = {"dose_grid_mm": 6.0, "beamlet_mm": 10.0}
    wanted = config(technique="vmat", beams=1, budget_s=budget_s, **wide)
    case, goals = cylinder_case(8.0), replace(GOALS, beams=5)
    made = planned(wanted, case, goals, None, told, steering=steering_of(wanted, registry_of(tmp_path)))
    assert deliverable(made)
    (arc,) = made.plan.beams
    angles = {point.gantry_deg for point in arc.control_points}
    assert made.plan.technique == "VMAT" and len(angles) > 50
    stages = [step.stage for step in made.story.steps]
    assert (stages[0], stages[-1]) == ("preliminary", "final")
    if budget_s:
        assert made.facts.kept == "preliminary" and "time budget" in made.facts.ended
        assert "exploring" not in stages
        return
    assert any(explored)
    assert stages.count("exploring") == made.facts.calls == 15
    assert {"fluence", "apertures", "sparing"} <= set(stages)
    first, final = made.story.steps[0], made.story.steps[-1]
    assert final.goals_met >= first.goals_met
    assert made.working is not None and made.working.technique == "VMAT"


def test_static_beams_stand_for_arcs_as_the_goal_set_has_them(case):
    wanted = config(technique="vmat", beams=1).planning
    assert _with_static_beams(wanted, replace(GOALS, beams=5)).beams == 5
    assert _with_static_beams(config(beams=3).planning, replace(GOALS, beams=5)).beams == 3
