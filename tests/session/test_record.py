"""What a session knows of itself is what its rows say, whatever way it took."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from appliance.audit import AuditRow
from appliance.session import TABLE, Event, State, next_state
from appliance.session_record import OPENED, TRANSITION, Standing, replay, seconds_between


def row(seq: int, event: str, data: dict[str, object]) -> AuditRow:
    return AuditRow(seq, f"2026-01-01T00:00:{seq % 60:02d}.000000Z", "s-1", "system", event, data, "", "")  # type: ignore[arg-type]


def walk(events: list[Event]) -> tuple[list[AuditRow], list[State]]:
    """The rows of a session that was offered these events, and the states it went through."""
    state, states = State.WAITING, [State.WAITING]
    rows = [row(1, OPENED, {"patient_key": "k", "state": state.value})]
    for event in events:
        if (state, event) not in TABLE:
            continue
        to = next_state(state, event)
        data: dict[str, object] = {"event": event.value, "from": state.value, "to": to.value, "facts": {}, "steps": {}}
        data["artefacts"] = {f"{event.name}.json": str(len(rows))}
        rows.append(row(len(rows) + 1, TRANSITION, data))
        state = to
        states.append(to)
    return rows, states


@given(st.lists(st.sampled_from(Event), max_size=60))
def test_replay_follows_every_walk_through_the_table(events: list[Event]) -> None:
    rows, states = walk(events)
    standing = replay(rows, next_state)["s-1"]
    assert [stay.state for stay in standing.stays] == [str(state) for state in states]
    assert standing.state == states[-1]
    assert [stay.seconds is None for stay in standing.stays] == [False] * (len(states) - 1) + [True]


@given(st.lists(st.sampled_from(Event), max_size=60), st.integers(0, 60))
def test_a_replay_cut_anywhere_and_continued_is_the_whole_replay(events: list[Event], cut: int) -> None:
    rows, _ = walk(events)
    cut = 1 + cut % len(rows)
    standing = before = replay(rows[:cut], next_state)["s-1"]
    for later in rows[cut:]:
        standing = standing.after(later, next_state)
    assert standing == replay(rows, next_state)["s-1"]
    assert before == replay(rows[:cut], next_state)["s-1"], "a record that somebody holds was changed"


def test_planning_again_forgets_the_plan_before_and_keeps_what_it_was_made_from() -> None:
    standing = Standing("s-1", state="revising")
    standing.stays = []
    standing.artefacts = dict.fromkeys(
        ("received.json", "goals.toml", "plan.json", "dose.npz", "approval.json", "export.json", "export/RP.dcm"), "x"
    )
    data: dict[str, object] = {"event": "finish revision", "from": "revising", "to": "planning"}
    standing.apply(row(5, TRANSITION, data), next_state)
    assert set(standing.artefacts) == {"received.json", "goals.toml"}


def test_a_clock_set_back_takes_no_time() -> None:
    assert seconds_between("2026-01-01T00:00:05.000000Z", "2026-01-01T00:00:01.000000Z") == 0.0
    assert seconds_between("2026-01-01T00:00:01.000000Z", "2026-01-01T00:00:03.500000Z") == 2.5
