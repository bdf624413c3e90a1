"""A policy that hands over to another, for good, when it is shown what it does not know or gives no answer."""

from __future__ import annotations

from collections.abc import Callable

from appliance.errors import ModelError, PlanningError
from appliance.execution.steering.policy import STOP, Action, Policy, View
from engines.errors import EngineError


class FallingBack:
    """check: '' or why `first` must not be asked about what is seen; asked before each of its answers. name: of the one
    that acts now. reason: why it is the other one."""

    def __init__(self, first: Policy, then: Policy, check: Callable[[View], str]) -> None:
        self._first, self._then, self._check = first, then, check
        self.name, self.reason = first.name, ""

    def act(self, view: View) -> Action:
        answer = None if self.reason else self._asked(view)
        if answer is None:
            self.name, answer = self._then.name, self._then.act(view)
        return answer

    def _asked(self, view: View) -> Action | None:
        """None, with the reason, where it must not be asked or does not answer."""
        self.reason = self._check(view)
        try:
            return None if self.reason else self._first.act(view)
        except (PlanningError, ModelError) as error:
            self.reason = str(error.fields["reason"])
        except EngineError as error:
            self.reason = str(error)
        return None


class LeaveToRules:
    """Explores no further: the rules push goals on the full planning system and need nothing found before."""

    name = "rules"

    def act(self, view: View) -> Action:
        return STOP
