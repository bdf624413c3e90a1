"""What the conversation understood becomes an edit, or a refusal that says what to ask."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from appliance.contracts import (
    Case,
    ChangeGoal,
    ChangePriority,
    Command,
    Comparator,
    GoalSet,
    Metric,
    ProtectMore,
    PushCoverage,
    Refusal,
    RemoveHotSpot,
    StructureKind,
    Undo,
)
from appliance.session_edits import edit_of
from engines.grid import Grid

from ..planning.cases import case_of, goal, goal_set, structure

GRID = Grid((0, 0, 0), (5, 5, 5), (4, 4, 8))


@pytest.fixture(scope="module")
def case() -> Case:
    def box(*x: int) -> np.ndarray:
        share = np.zeros(GRID.shape)
        share[:, :, list(x)] = 1
        return share

    kinds = StructureKind
    organs = ("Parotid_L", "Parotid_R", "SpinalCord", "Brainstem")
    return case_of(
        GRID,
        np.zeros(GRID.shape, np.int16),
        (
            structure(1, "External", kinds.EXTERNAL, np.ones(GRID.shape)),
            structure(2, "PTV_7000", kinds.TARGET, box(3)),
            *(structure(3 + i, name, kinds.ORGAN, box(4 + i)) for i, name in enumerate(organs)),
        ),
    )


@pytest.fixture(scope="module")
def goals() -> GoalSet:
    made = goal_set(
        goal("PTV_7000", "D99%", ">=", 66.5),
        goal("Parotid_L", "Mean", "<=", 26.0, priority=3),
        goal("Parotid_R", "Mean", "<=", 26.0, priority=3),
        goal("SpinalCord", "D0.1cc", "<=", 45.0),
        goal("Brainstem", "D0.1cc", "<=", 54.0, priority=2),
    )
    return replace(made, prescription=(("PTV_7000", 70.0),))


MEAN, NEAR_MAX = Metric.parse("Mean"), Metric.parse("D0.1cc")
MOST, LEAST = Comparator.AT_MOST, Comparator.AT_LEAST


@pytest.mark.parametrize(
    ("command", "edit"),
    [
        (Command("undo"), Undo()),
        (Command("set_goal", "Parotid_L", "Dmean", "<=", 24, "Gy"), ChangeGoal("Parotid_L", MEAN, MOST, 24, "Gy")),
        (Command("set_goal", "SpinalCord", "Dmax", "<=", 42), ChangeGoal("SpinalCord", NEAR_MAX, MOST, 42, "Gy")),
        (
            Command("set_goal", "PTV70", "coverage", ">=", 95, "%"),
            ChangeGoal("PTV_7000", Metric.parse("V70Gy"), LEAST, 95, "%"),
        ),
        (Command("set_goal", "PTV70", "D95", ">=", 68), ChangeGoal("PTV_7000", Metric.parse("D95%"), LEAST, 68, "Gy")),
        (
            Command("set_goal", "SpinalCord", "V20", "<=", 30),
            ChangeGoal("SpinalCord", Metric.parse("V20Gy"), MOST, 30, "%"),
        ),
        (Command("adjust", "Parotid_R", "Dmean", "down", 2, "Gy"), ProtectMore("Parotid_R", 2, "Gy", MEAN)),
        (Command("adjust", "Brainstem", None, "down"), ProtectMore("Brainstem")),
        (Command("adjust", "Brainstem", "Dmax", "down"), RemoveHotSpot("Brainstem")),
        (Command("adjust", "PTV70", "coverage", "up"), PushCoverage("PTV_7000")),
        (Command("set_priority", "Brainstem", priority="high"), ChangePriority("Brainstem", 1)),
        (Command("set_priority", "Brainstem", priority="must"), ChangePriority("Brainstem", 1)),
        (Command("set_priority", "Parotid_L", priority="low"), ChangePriority("Parotid_L", 3)),
        (Command("set_priority", "Brainstem", priority="over:Parotids"), ChangePriority("Brainstem", 2)),
    ],
)
def test_a_command_becomes_its_edit(case, goals, command, edit):
    assert edit_of(command, case, goals) == edit


@pytest.mark.parametrize(
    ("command", "why", "choices"),
    [
        (Command("set_goal", "Parotid_?", "Dmean", "<=", 24), "left or the right", ("Parotid_L", "Parotid_R")),
        (Command("set_goal", "Liver", "Dmean", "<=", 24), "no structure Liver", None),
        (Command("set_goal", None, "Dmean", "<=", 24), "no structure was named", None),
        (Command("set_goal", "Parotid_L", "Dmean", "<=", 24, "%"), "cannot be given in %", ()),
        (Command("set_goal", "Parotid_L", "Dmean", "<=", 240, "Gy"), "not in cGy", ()),
        (Command("set_goal", "Parotid_L", "Dmean", "<=", None), "to what value", ()),
        (Command("set_goal", "Parotid_L", "Dmean", None, 24), "at most or at least", ("<=", ">=")),
        (Command("set_goal", "PTV70", "D95", ">=", 60), "another prescription", ()),
        (Command("set_goal", "Brainstem", "coverage", ">=", 95), "no coverage", None),
        (Command("set_goal", "Brainstem", "Dfoo", "<=", 5), "not a known metric", ()),
        (Command("adjust", "PTV70", "coverage", "down"), "not lowered by an adjustment", ()),
        (Command("adjust", "Parotid_L", None, "up"), "not given more dose on purpose", ()),
        (Command("adjust", "Parotid_L", None, "down", 2, "cc"), "cannot be lowered by cc", None),
        (Command("set_priority", "PTV70", priority="low"), "never given up", ()),
        (Command("set_priority", "Parotid_L", priority="over:SpinalCord"), "highest priority already", None),
        (Command("set_priority", "Parotid_L"), "how important", None),
        (Command("accept_plan"), "no change of the plan", None),
    ],
)
def test_what_is_not_clear_is_asked(case, goals, command, why, choices):
    found = edit_of(command, case, goals)
    assert isinstance(found, Refusal)
    assert why in found.reason
    assert choices is None or found.choices == choices
