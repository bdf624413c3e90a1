"""Handing over for good, with the reason."""

from __future__ import annotations

import pytest

from appliance.errors import ModelError, PlanningError
from appliance.execution.policies.falling_back import FallingBack, LeaveToRules
from appliance.execution.steering.policy import STOP, Action
from engines.errors import EngineError


class Counting:
    name = "learned"

    def __init__(self, error: Exception | None = None) -> None:
        self.asked, self.error = 0, error

    def act(self, view: object) -> Action:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return Action()


def test_what_is_known_is_left_to_the_first():
    policy = FallingBack(first := Counting(), LeaveToRules(), lambda view: "")
    assert policy.act(None) == Action()  # type: ignore[arg-type]
    assert (policy.name, policy.reason, first.asked) == ("learned", "", 1)


def test_what_is_unknown_is_never_asked_of_it_and_it_does_not_come_back():
    reasons = iter(["", "too many objectives", ""])
    policy = FallingBack(first := Counting(), LeaveToRules(), lambda view: next(reasons))
    actions = [policy.act(None) for _ in range(3)]  # type: ignore[arg-type]
    assert actions == [Action(), STOP, STOP]
    assert (policy.name, policy.reason, first.asked) == ("rules", "too many objectives", 1)


@pytest.mark.parametrize("error", [PlanningError("no number"), ModelError("no number"), EngineError("no number")])
def test_a_network_that_gives_no_answer_is_replaced(error):
    policy = FallingBack(Counting(error), LeaveToRules(), lambda view: "")
    assert policy.act(None) == STOP  # type: ignore[arg-type]
    assert policy.reason == "no number"
