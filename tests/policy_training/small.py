"""Small training tasks on a cylinder, and a network of no knowledge that any of them can be played with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from appliance.execution.steering.changes import Change
from appliance.execution.steering.episode import Terms
from appliance.planning.coarse import Coarseness
from models.policy.rollout import Job, Orders
from models.policy.stored import file_of, save_case
from models.policy.tasks import Task

from ..planning.cases import cylinder_case, goal, goal_set

GOALS = goal_set(
    goal("PTV", "D95%", ">=", 19.5), goal("PTV", "D2%", "<=", 22.0), goal("Core", "Mean", "<=", 7.0, priority=3),
    beams=5,
)  # fmt: skip
TERMS = Terms(calls=4)
SMALL = Coarseness(thin=20, first=8, further=4)
CASE = "openkbp-1"
"""So named that the cache takes it for a training patient; it is a cylinder."""


def cache_in(folder: Path) -> Path:
    save_case(cylinder_case(spacing_mm=8.0), file_of(folder, CASE))
    return folder


def tasks(count: int) -> list[Task]:
    """They differ in what the organ may have."""
    limits = np.linspace(4.0, 10.0, count)
    goals = [replace(GOALS, goals=(*GOALS.goals[:2], replace(GOALS.goals[2], limit=float(limit)))) for limit in limits]
    return [Task(number, CASE, goal_set, SMALL) for number, goal_set in enumerate(goals)]


def jobs(count: int) -> list[Job]:
    return [Job(task.number, task, (7, task.number), guidance=0.3) for task in tasks(count)]


def orders(cache: Path, weights: bytes) -> Orders:
    return Orders(cache, TERMS, weights)


def ignorant_network() -> bytes:
    """An ONNX file of the policy's inputs and outputs: every legal change as likely as any other, a stop at even odds
    of one in twenty. Made of the mask alone, so it needs no training and no torch."""
    import onnx
    from onnx import TensorProto, helper

    names = {"tokens": ["batch", "n", "t"], "present": ["batch", "n"], "context": ["batch", "c"]}
    legal = helper.make_tensor_value_info("legal", TensorProto.FLOAT, ["batch", "n", len(Change)])
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in names.items()]
    shapes = {"logits": ["batch", "n", len(Change)], "stop": ["batch"], "value": ["batch"]}
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    constants = [
        helper.make_tensor("one", TensorProto.FLOAT, [], [1.0]),
        helper.make_tensor("large", TensorProto.FLOAT, [], [1e9]),
        helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0]),
        helper.make_tensor("odds", TensorProto.FLOAT, [], [float(np.log(1 / 20))]),
        helper.make_tensor("levers", TensorProto.INT64, [1], [1]),
    ]
    nodes = [
        helper.make_node("Sub", ["legal", "one"], ["masked"]),
        helper.make_node("Mul", ["masked", "large"], ["logits"]),
        helper.make_node("ReduceSum", ["present", "levers"], ["counted"], keepdims=0),
        helper.make_node("Mul", ["counted", "zero"], ["value"]),
        helper.make_node("Add", ["value", "odds"], ["stop"]),
    ]
    graph = helper.make_graph(nodes, "ignorant", [*inputs, legal], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
