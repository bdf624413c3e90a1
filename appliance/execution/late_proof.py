"""When time is up: a true dose for a plan that only estimates are known of."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from appliance.contracts import PlanningState
from appliance.execution.meeting import GAIN
from appliance.execution.operator import Operator
from appliance.execution.sparing import RESERVE
from appliance.execution.watch import TPS_FAILURES, Watch

HOPEFUL = 0.8
"""A plan without a true dose gets one when time is up if at least this share of what one took is left (chosen: it was
kept back for that)."""


def prove_the_last(
    operator: Operator, watch: Watch, best: PlanningState, may_be: Callable[[PlanningState], bool] = lambda _: True
) -> None:
    """Where the last plan may be handed on, looks better than the best, and time was kept back for it. Who listens to
    the operator's true doses hears of it."""
    watch.may_stop = False
    last, deadline = operator.pending, watch.deadline
    if last is None or not may_be(last.state):
        return
    is_better = operator.score(last.state, room=RESERVE) > operator.score(best) + GAIN
    if not is_better or deadline.left_s + deadline.reserve_s < HOPEFUL * deadline.reserve_s:
        return
    with suppress(*TPS_FAILURES):  # the best so far is whole already
        operator.true(last)
