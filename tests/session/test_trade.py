"""The plan of an answer of navigation becomes the session's, as the result of any edit: rows, versions, Undo,
refusals."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.config import Config, PlanningConfig
from appliance.contracts import Comparator, Metric, Revision, TakeTrade, Undo
from appliance.contracts.edit import edits_from_json, edits_to_json
from appliance.contracts.navigation import TradeOffSet, Wish
from appliance.errors import PlanningError, RefusedEdit
from appliance.execution.navigation import Navigator, parse_wish
from appliance.planning import check_plan
from appliance.session import Session, State
from appliance.session_navigation import add_trade_offs
from appliance.session_record import EDITED
from appliance.session_stages import Reviewed, Stages
from appliance.session_traded import traded_of
from appliance.session_wiring import real_stages

from ..execution.navigation.sets import by_hand
from .conftest import PHYSICIAN, Desk
from .test_navigation import NOTHING, in_review
from .test_revising import CORE, cooler

LOWER = Wish("Core", Metric.parse("Mean"), Comparator.AT_MOST, 7.0, "Gy", "Core Mean <= 7 Gy")
LEFT = replace(LOWER, structure="Left")


def set_of_core(reviewed: Reviewed, *_: object) -> TradeOffSet:
    """The set made by hand, in which the left organ is called as the one of the small case."""
    made, names = by_hand(), {"Left": "Core"}
    goals = tuple(replace(one, structure=names.get(one.structure, one.structure)) for one in made.goal_set.goals)
    regions = {names.get(name, name): found for name, found in made.regions.items()}
    goal_set = replace(made.goal_set, goals=goals)
    return replace(made, plan_digest=reviewed.plan.digest, goal_set=goal_set, regions=regions)


def of_core(desk: Desk, **changed: object) -> Stages:
    def take_trade(case, revision, before, known, progress):
        return cooler(case, revision, before, progress)

    return replace(desk.stages, **({"trade_offs": set_of_core, "take_trade": take_trade} | changed))


def traded_session(desk: Desk, **changed: object) -> Session:
    session = in_review(desk, of_core(desk, **changed))
    assert add_trade_offs(session, NOTHING)
    return session


def test_it_is_a_revision_with_its_row_and_an_undo_brings_the_plan_back(desk: Desk) -> None:
    session = traded_session(desk)
    before = session.files.plan().digest
    session.revise(PHYSICIAN, [TakeTrade(LOWER)])
    assert session.state is State.REVISING
    session = desk.reopen(of_core(desk))
    session.run()
    assert session.state is State.IN_REVIEW
    assert session.files.plan().digest != before
    (row,) = desk.rows(EDITED)
    assert (row.actor, row.data["kind"]) == (PHYSICIAN, "take trade")
    assert str(row.data["new"]).startswith("Core Mean <= 7 Gy")
    core = next(goal for goal in session.files.evaluation().goals if goal.structure == "Core")
    assert core.limit == 7.0
    session.revise(PHYSICIAN, [Undo()])
    session.run()
    assert session.files.plan().digest == before
    assert traded_of(session.files) is not None


def test_planning_gets_the_set_that_was_answered_from_also_after_a_restart(desk: Desk) -> None:
    seen: list[tuple[Revision, TradeOffSet]] = []

    def take_trade(case, revision, before, known, progress):
        seen.append((revision, known))
        return cooler(case, revision, before, progress)

    session = traded_session(desk)
    digest = session.files.plan().digest
    session.revise(PHYSICIAN, [TakeTrade(LOWER, ("PTV",))])
    desk.reopen(of_core(desk, take_trade=take_trade)).run()
    ((revision, known),) = seen
    assert known.plan_digest == digest
    assert revision.trade == TakeTrade(LOWER, ("PTV",))
    assert [revision.goal_set.goals[i].structure for i in (*revision.asked, *revision.relaxed)] == ["Core", "PTV"]


@pytest.mark.parametrize(
    ("edits", "why"),
    [
        ([TakeTrade(LEFT)], "no structure Left"),
        ([TakeTrade(replace(LOWER, unit="cGy"))], "no unit of a goal"),
        ([TakeTrade(replace(LOWER, limit=1700.0))], "not in cGy"),
        ([TakeTrade(replace(LOWER, limit=12.0))], "has 9.00 Gy already"),
        ([TakeTrade(LOWER), CORE], "stands alone"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(desk: Desk, edits: list, why: str) -> None:
    session = traded_session(desk)
    rows = len(desk.rows())
    with pytest.raises(RefusedEdit, match=why):
        session.revise(PHYSICIAN, edits)
    assert session.state is State.IN_REVIEW and len(desk.rows()) == rows


def test_before_anything_is_known_it_is_refused(desk: Desk) -> None:
    session = in_review(desk, of_core(desk))
    with pytest.raises(RefusedEdit, match="not known yet"):
        session.revise(PHYSICIAN, [TakeTrade(LOWER)])


def test_where_it_cannot_be_planned_the_plan_stays(desk: Desk) -> None:
    def fails(*_: object) -> None:
        raise PlanningError("no apertures")

    session = traded_session(desk, take_trade=fails)
    before = session.files.plan().digest
    session.revise(PHYSICIAN, [TakeTrade(LOWER)])
    session.run()
    assert (session.state, session.files.plan().digest) == (State.IN_REVIEW, before)


def test_an_edit_of_this_kind_survives_its_json() -> None:
    edits = (TakeTrade(LOWER, ("Side",)),)
    assert edits_from_json(edits_to_json(edits)) == edits


def test_the_real_planner_makes_the_answer_the_sessions_plan(desk: Desk) -> None:
    """From real trade-offs; and what comes of it can be revised further."""
    planning = PlanningConfig(goals=desk.small.goals, algorithm="pencil_beam", policy="template", segments_per_beam=4)
    real = real_stages(Config(planning=planning), desk.identities)
    stages = replace(
        desk.stages, plan=real.plan, revise=real.revise, take_trade=real.take_trade, trade_offs=real.trade_offs
    )
    session = in_review(desk, stages)
    assert add_trade_offs(session, NOTHING)
    known = traded_of(session.files)
    assert known is not None
    wish = parse_wish("less Core", known)
    answer = Navigator(known).ask(wish)
    before = session.files.evaluation()
    session.revise(PHYSICIAN, [TakeTrade(wish)])
    session.run()
    assert session.state is State.IN_REVIEW
    after = session.files.evaluation()
    core = next(goal for goal in after.goals if goal.structure == "Core")
    assert core.value < next(goal for goal in before.goals if goal.structure == "Core").value
    assert core.value < answer.reached + 1.0
    assert next(goal for goal in after.goals if goal.structure == "PTV").met
    assert check_plan(session.files.plan(), planning.machine).deliverable
    assert f"Navigation had predicted: {answer.sentence}" in after.notes
    story = session.files.story()
    assert story is not None and story.revision == 1
    told = [step.stage for step in story.steps]
    assert (told[:2], told[-1]) == (["review", "fluence"], "final")
    session.revise(PHYSICIAN, [replace(CORE, limit=round(core.value * 0.97, 2))])
    session.run()
    assert session.state is State.IN_REVIEW
    assert not any("could not be planned" in note for note in session.files.evaluation().notes)
