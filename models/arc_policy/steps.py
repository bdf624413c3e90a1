"""The policy at work: a few steps from the start of an arc, each of which costs one evaluation of the merit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from appliance.planning.moving_field import FieldLimits, MovingField
from appliance.planning.moving_leaves import Evaluate
from appliance.planning.moving_vector import FieldPath
from engines.runtime import Backend, RuntimeOptions, open_network

from .features import Map, features, moved
from .system import ArcTps, Look, Paths

Answer = Callable[[Map], tuple[Map, Map]]
"""Of one arc's map (channels, points, pairs): leaves (2, points, pairs), log of metersets (intervals,)."""

STEPS = 4


def opened(weights: bytes) -> Answer:
    """The network of an ONNX file, on one thread."""
    network = open_network(weights, name="arc_policy", options=RuntimeOptions(backends=(Backend.ONNX_CPU,), threads=1))

    def answer(maps: Map) -> tuple[Map, Map]:
        said = network.run({"maps": maps[None]})
        return said["leaves"][0], said["log_mu"][0]

    return answer


def in_use(path: FieldPath, field: MovingField) -> FieldPath:
    return FieldPath(path.left_mm[:, field.active], path.right_mm[:, field.active], path.mu)


def seen(look: Look, number: int, field: MovingField, limits: FieldLimits) -> Map:
    window_mm = np.array([limits.paths.window_a_mm, limits.paths.window_b_mm])
    path, slope = (in_use(paths[number], field) for paths in (look.paths, look.slopes))
    return features(path, slope, window_mm, look.merit)


def proposed(look: Look, tps: ArcTps, answer: Answer) -> Paths:
    """Paths that the policy asks for at this look; `ArcTps.place` makes them legal."""
    out = []
    for number, (field, limits) in enumerate(zip(tps.fields, tps.limits, strict=True)):
        now = look.paths[number]
        new = moved(in_use(now, field), *answer(seen(look, number, field, limits)))
        left, right = now.left_mm.copy(), now.right_mm.copy()
        left[:, field.active], right[:, field.active] = new.left_mm, new.right_mm
        out.append(FieldPath(left, right, new.mu))
    return tuple(out)


def follow(tps: ArcTps, evaluate: Evaluate, answer: Answer, steps: int = STEPS) -> list[Look]:
    """So many steps, with a look before the first and after each; the arcs are left at the lowest merit seen, so the
    policy never makes the start worse."""
    looks = [tps.look(evaluate)]
    for _ in range(steps):
        tps.place(proposed(looks[-1], tps, answer))
        looks.append(tps.look(evaluate))
    tps.leaves.paths = min(looks, key=lambda look: look.merit).paths
    return looks
