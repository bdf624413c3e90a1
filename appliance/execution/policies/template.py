"""The template alone: nothing is ever changed, but the optimisation goes on."""

from __future__ import annotations

from appliance.execution.steering.changes import Change
from appliance.execution.steering.policy import Action, View


class TemplatePolicy:
    """Uses all of its calls, so that others are not compared with an optimisation that was broken off."""

    name = "template"

    def act(self, view: View) -> Action:
        return Action(tuple(Change.KEEP for _ in view.levers))
