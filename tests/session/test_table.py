"""The state table: its flow is the design's, and every pair it does not name is refused."""

from __future__ import annotations

from collections import deque
from itertools import product

import pytest

from appliance.errors import IllegalTransition
from appliance.session import ENDED, TABLE, Event, State, next_state

FLOW = (
    (State.WAITING, Event.RECEIVE),
    (State.ASSEMBLING, Event.ASSEMBLE),
    (State.PREDICTING, Event.PREDICT),
    (State.PLANNING, Event.PLAN),
    (State.EVALUATING, Event.EVALUATE),
    (State.IN_REVIEW, Event.APPROVE),
    (State.APPROVED, Event.START_EXPORT),
    (State.EXPORTING, Event.EXPORT),
    (State.EXPORTED, Event.START_DELIVERY),
    (State.DELIVERING, Event.FINISH_DELIVERY),
)

ALLOWED = {
    State.WAITING: {Event.RECEIVE, Event.STOP},
    State.ASSEMBLING: {Event.ASSEMBLE, Event.QUESTION_CONTOURS, Event.STOP, Event.FAIL},
    State.CONTOUR_REVIEW: {Event.CONFIRM_CONTOURS, Event.REJECT, Event.CHOOSE_SCHEDULED, Event.STOP, Event.FAIL},
    State.PREDICTING: {Event.PREDICT, Event.STOP, Event.FAIL},
    State.PLANNING: {Event.PLAN, Event.STOP, Event.FAIL},
    State.EVALUATING: {Event.EVALUATE, Event.STOP, Event.FAIL},
    State.IN_REVIEW: {
        Event.REVISE,
        Event.EDIT_CONTOURS,
        Event.APPROVE,
        Event.REJECT,
        Event.CHOOSE_SCHEDULED,
        Event.STOP,
        Event.FAIL,
    },
    State.REVISING: {Event.FINISH_REVISION, Event.REJECT, Event.CHOOSE_SCHEDULED, Event.STOP, Event.FAIL},
    State.APPROVED: {Event.START_EXPORT, Event.STOP, Event.FAIL},
    State.EXPORTING: {Event.EXPORT, Event.MISS_EXPORT, Event.FAIL},
    State.EXPORTED: {Event.START_DELIVERY, Event.STOP},
    State.DELIVERING: {Event.FINISH_DELIVERY, Event.STOP, Event.FAIL},
    State.DELIVERED: set(),
    State.REJECTED: set(),
    State.SCHEDULED_PLAN_CHOSEN: set(),
    State.STOPPED: set(),
    State.FAILED: {Event.RETRY, Event.STOP, Event.CHOOSE_SCHEDULED},
}
"""Written out by hand, a second time, so that a change of the table has to be meant."""


def test_the_flow_leads_from_the_first_state_to_delivered() -> None:
    state = State.WAITING
    for expected, event in FLOW:
        assert state is expected
        state = next_state(state, event)
    assert state is State.DELIVERED


@pytest.mark.parametrize(("state", "event"), list(product(State, Event)), ids=str)
def test_a_pair_is_either_in_the_table_or_refused(state: State, event: Event) -> None:
    if event in ALLOWED[state]:
        assert next_state(state, event) is TABLE[state, event]
    else:
        with pytest.raises(IllegalTransition) as refused:
            next_state(state, event)
        assert refused.value.fields == {"reason": "", "state": str(state), "event": str(event)}


def test_nothing_leads_out_of_an_end() -> None:
    assert not [pair for pair in TABLE if pair[0] in ENDED]


def test_exporting_is_reached_through_approved_alone() -> None:
    assert {pair for pair, to in TABLE.items() if to is State.EXPORTING} == {(State.APPROVED, Event.START_EXPORT)}
    assert {pair for pair, to in TABLE.items() if to is State.APPROVED} == {
        (State.IN_REVIEW, Event.APPROVE),
        (State.EXPORTING, Event.MISS_EXPORT),
    }


def test_every_state_can_be_reached_and_every_unfinished_one_can_end() -> None:
    reached, queue = {State.WAITING}, deque([State.WAITING])
    while queue:
        state = queue.popleft()
        for to in (to for (here, _), to in TABLE.items() if here is state):
            if to not in reached:
                reached.add(to)
                queue.append(to)
    assert reached == set(State)
    ending = set(ENDED)
    for _ in State:
        ending |= {here for (here, _), to in TABLE.items() if to in ending}
    assert ending == set(State)
