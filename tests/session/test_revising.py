"""A plan in review is revised and undone: what is refused changes nothing, what is made stands on the disk and in the
log, and a session killed in the middle goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest

from appliance.audit import verify
from appliance.config import Config, PlanningConfig
from appliance.contracts import (
    CalculatedDose,
    Case,
    ChangeGoal,
    Comparator,
    Metric,
    Planned,
    PlanningFacts,
    ProtectMore,
    Revision,
    Undo,
)
from appliance.contracts.progress import Progress
from appliance.errors import (
    ApprovalError,
    CouchsideError,
    DiskFull,
    IllegalTransition,
    ModelError,
    PlanningError,
    RefusedEdit,
)
from appliance.session import Session, State
from appliance.session_record import EDITED
from appliance.session_revising import version_folder
from appliance.session_wiring import real_stages

from .conftest import PASSPHRASE, PHYSICIAN, Desk
from .standin import open_field

CORE = ChangeGoal("Core", Metric.parse("Mean"), Comparator.AT_MOST, 17.0, "Gy")
LOWER = 0.97


def cooler(case: Case, revision: Revision, before: Planned, progress: Progress) -> Planned:
    """In the place of the planner: the same plan with a little less dose and monitor units."""
    progress("cooler", 0.5)
    beams = tuple(
        replace(b, control_points=tuple(replace(p, cumulative_mu=p.cumulative_mu * LOWER) for p in b.control_points))
        for b in before.plan.beams
    )
    plan = replace(before.plan, beams=beams)
    old = before.dose
    dose = CalculatedDose(old.grid, old.dose_gy * np.float32(LOWER), plan.digest, old.algorithm, old.beam_model)
    return Planned(plan, dose, ("Asked for less",))


def stages(desk: Desk, **changed: Any) -> Any:
    return replace(desk.stages, **({"revise": cooler} | changed))


@pytest.fixture
def reviewed(desk: Desk) -> Session:
    session = desk.session(stages(desk))
    session.run()
    assert session.state is State.IN_REVIEW
    return session


def digests(session: Session) -> tuple[str, str, str]:
    shown = session.shown()
    return shown.plan_digest, shown.dose_digest, shown.evaluation_digest


def test_a_revision_makes_a_new_plan_judged_by_the_new_goals(desk: Desk, reviewed: Session) -> None:
    first = digests(reviewed)
    reviewed.revise(PHYSICIAN, [CORE])
    assert reviewed.state is State.REVISING
    reviewed.run()
    assert reviewed.state is State.IN_REVIEW
    assert desk.states()[-4:] == ["revising", "planning", "evaluating", "in review"]
    assert not set(first) & set(digests(reviewed))
    evaluation = reviewed.files.evaluation()
    core = next(goal for goal in evaluation.goals if goal.structure == "Core")
    assert core.limit == 17.0
    assert core.source.startswith(f"Asked for by {PHYSICIAN} in review, in place of 18 Gy (")
    assert evaluation.goal_set_digest == reviewed.standing.facts["goal_set_digest"]
    told = f"Revision 1, asked for by {PHYSICIAN}: Core Mean <= 18 Gy -> Core Mean <= 17 Gy"
    assert {told, "Asked for less"} <= set(evaluation.notes)
    assert any("in place of the goal file's" in note for note in evaluation.notes)
    assert "Core Mean" in (reviewed.files.folder / "report.html").read_text("utf-8")
    assert verify(desk.store / "audit.sqlite").ok


def test_every_edit_is_a_row(desk: Desk, reviewed: Session) -> None:
    reviewed.revise(PHYSICIAN, [CORE, ProtectMore("Core", 5.0)])
    reviewed.run()
    rows = desk.rows(EDITED)
    assert [(row.actor, row.data["kind"]) for row in rows] == [
        (PHYSICIAN, "change goal"),
        (PHYSICIAN, "protect more"),
    ]
    assert (rows[0].data["old"], rows[0].data["new"]) == ("Core Mean <= 18 Gy", "Core Mean <= 17 Gy")
    assert rows[1].data["new"] == "Core Mean <= 19.47 Gy"


def test_an_undo_gives_the_former_plan_to_the_bit_and_plans_nothing(desk: Desk, reviewed: Session) -> None:
    first, plan = digests(reviewed), reviewed.files.plan()
    dose_gy, goals = reviewed.files.dose().dose_gy.copy(), reviewed.case()[1].digest
    reviewed.revise(PHYSICIAN, [CORE])
    reviewed.run()
    second = digests(reviewed)
    never: Callable[..., Planned] = lambda *_: pytest.fail("something was planned")  # noqa: E731
    session = desk.reopen(stages(desk, plan=never, revise=never, evaluate=never, second_check=never))
    session.revise(PHYSICIAN, [Undo()])
    session.run()
    assert session.state is State.IN_REVIEW
    assert digests(session) == first
    assert session.files.plan() == plan
    np.testing.assert_array_equal(session.files.dose().dose_gy, dose_gy)
    assert session.case()[1].digest == goals
    with pytest.raises(RefusedEdit, match="no revision of this plan to undo"):
        session.revise(PHYSICIAN, [Undo()])
    assert digests(session) == first
    kept = session.files.within(version_folder(2))
    assert (kept.plan().digest, kept.dose().digest, kept.evaluation().digest) == second


def test_undoing_twice_leads_through_both_versions(desk: Desk, reviewed: Session) -> None:
    seen = [digests(reviewed)]
    for limit in (17.0, 16.0):
        reviewed.revise(PHYSICIAN, [replace(CORE, limit=limit)])
        reviewed.run()
        seen.append(digests(reviewed))
    assert len(set(seen)) == 3
    for expected in (seen[1], seen[0]):
        reviewed.revise(PHYSICIAN, [Undo()])
        reviewed.run()
        assert digests(reviewed) == expected
    reviewed.revise(PHYSICIAN, [replace(CORE, limit=15.0)])
    reviewed.run()
    assert reviewed.case()[1].goals[1].limit == 15.0
    assert reviewed.standing.facts["revisions"] == 5


@pytest.mark.parametrize(
    ("edits", "why"),
    [
        ([replace(CORE, structure="Liver")], "no structure Liver"),
        ([replace(CORE, unit="%")], "cannot be given in %"),
        ([replace(CORE, limit=1800.0)], "not in cGy"),
        ([replace(CORE, limit=18.0)], "already"),
        ([CORE, replace(CORE, comparator=Comparator.AT_LEAST, limit=18.0)], "cannot both hold"),
        ([ChangeGoal("PTV", Metric.parse("D50%"), Comparator.AT_LEAST, 14.0, "Gy")], "another prescription"),
        ([ProtectMore("PTV")], "is a target"),
        ([CORE, Undo()], "stands alone"),
        ([], "nothing was asked for"),
    ],
)
def test_what_is_refused_changes_nothing(desk: Desk, reviewed: Session, edits: list[Any], why: str) -> None:
    rows, artefacts = len(desk.rows()), dict(reviewed.standing.artefacts)
    with pytest.raises(RefusedEdit, match=why):
        reviewed.revise(PHYSICIAN, edits)
    assert reviewed.state is State.IN_REVIEW
    assert len(desk.rows()) == rows
    assert reviewed.standing.artefacts == artefacts


def test_nothing_is_revised_but_what_is_in_review(desk: Desk) -> None:
    session = desk.session(stages(desk))
    with pytest.raises(IllegalTransition):
        session.revise(PHYSICIAN, [CORE])
    session.run()
    session.revise(PHYSICIAN, [CORE])
    with pytest.raises(IllegalTransition):
        session.revise(PHYSICIAN, [CORE])
    with pytest.raises(IllegalTransition):
        session.approve(PHYSICIAN, PASSPHRASE)
    session.run()
    session.approve(PHYSICIAN, PASSPHRASE)
    with pytest.raises(IllegalTransition):
        session.revise(PHYSICIAN, [CORE])


def test_an_approval_is_of_the_revised_plan(desk: Desk, reviewed: Session) -> None:
    reviewed.revise(PHYSICIAN, [CORE])
    reviewed.run()
    approval = reviewed.approve(PHYSICIAN, PASSPHRASE)
    assert approval.shown.plan_digest == reviewed.files.plan().digest
    reviewed.run()
    assert reviewed.state is State.EXPORTED
    with pytest.raises(ApprovalError):
        desk.identities.sign(PHYSICIAN, "wrong", approval.shown, "")


def test_a_session_revised_twice_and_killed_in_between_goes_on(desk: Desk, reviewed: Session) -> None:
    reviewed.revise(PHYSICIAN, [CORE])
    session = desk.reopen(stages(desk))
    assert session.state is State.REVISING
    session.run()
    first = digests(session)

    def killed(*_: object) -> Planned:
        raise DiskFull("in the middle")

    session.revise(PHYSICIAN, [replace(CORE, limit=16.0)])
    session.stages = stages(desk, revise=killed)
    with pytest.raises(DiskFull):
        session.run()
    again = desk.reopen(stages(desk))
    assert again.state is State.PLANNING
    again.run()
    assert again.state is State.IN_REVIEW
    assert again.case()[1].goals[1].limit == 16.0
    assert digests(again) != first
    assert len(desk.rows(EDITED)) == 2
    again.revise(PHYSICIAN, [Undo()])
    again = desk.reopen(stages(desk))
    again.run()
    assert digests(again) == first


def test_a_session_killed_between_the_row_of_an_edit_and_its_note_has_both(desk: Desk, reviewed: Session) -> None:
    def killed(_: str) -> None:
        raise DiskFull("just now")

    reviewed.revise(PHYSICIAN, [CORE])
    reviewed._note = killed  # type: ignore[method-assign]
    with pytest.raises(DiskFull):
        reviewed.run()
    assert len(desk.rows(EDITED)) == 1
    again = desk.reopen(stages(desk))
    again.run()
    assert len(desk.rows(EDITED)) == 1
    assert [note for note in again.standing.notes if note.startswith("Revision 1, change goal")]


@pytest.mark.parametrize("error", [PlanningError("no apertures"), ModelError("the beam model is gone")])
def test_a_revision_that_cannot_be_planned_leaves_the_plan(
    desk: Desk, reviewed: Session, error: CouchsideError
) -> None:
    """And what was said of the plan that stays."""
    reviewed.revise(PHYSICIAN, [CORE])
    reviewed.run()
    plan = reviewed.files.plan().digest

    def fails(*_: object) -> Planned:
        raise error

    reviewed.stages = stages(desk, revise=fails)
    reviewed.revise(PHYSICIAN, [replace(CORE, limit=16.0)])
    reviewed.run()
    assert reviewed.state is State.IN_REVIEW
    assert reviewed.files.plan().digest == plan
    notes = reviewed.files.evaluation().notes
    assert any("Revision 2 could not be planned, and the plan stays as it was" in note for note in notes)
    assert "Asked for less" in notes


def test_how_a_plan_was_planned_is_undone_with_it(desk: Desk) -> None:
    def told(by: str, plan: Callable[..., Planned]) -> Callable[..., Planned]:
        return lambda *given: replace(plan(*given), facts=PlanningFacts(by, ended="all goals met"))

    session = desk.session(stages(desk, plan=told("learned", open_field), revise=told("rules", cooler)))
    session.run()
    assert session.standing.facts["planning"]["policy"] == "learned"
    session.revise(PHYSICIAN, [CORE])
    session.run()
    assert session.standing.facts["planning"]["policy"] == "rules"
    session.revise(PHYSICIAN, [Undo()])
    session.run()
    assert session.standing.facts["planning"] == asdict(PlanningFacts("learned", ended="all goals met"))


def test_a_plan_without_a_kept_state_is_not_revised_silently(desk: Desk) -> None:
    """The stand-in of the planner keeps none, as sessions of an earlier release have none."""
    session = desk.session()
    session.run()
    plan = session.files.plan().digest
    session.revise(PHYSICIAN, [CORE])
    session.run()
    assert session.files.plan().digest == plan
    assert any("no state of planning was kept" in note for note in session.files.evaluation().notes)


def test_the_real_planner_goes_on_from_what_it_kept(desk: Desk) -> None:
    planning = PlanningConfig(goals=desk.small.goals, algorithm="pencil_beam", policy="template", segments_per_beam=4)
    real = real_stages(Config(planning=planning), desk.identities)
    session = desk.session(replace(desk.stages, plan=real.plan, revise=real.revise))
    session.run()
    before = session.files.evaluation()
    core = next(goal for goal in before.goals if goal.structure == "Core")
    session.revise(PHYSICIAN, [ProtectMore("Core", 5.0)])
    session = desk.reopen(replace(desk.stages, plan=real.plan, revise=real.revise))
    session.run()
    after = session.files.evaluation()
    assert session.state is State.IN_REVIEW
    assert after.goals_met >= before.goals_met
    assert next(goal for goal in after.goals if goal.structure == "Core").value < core.value
    assert any(note.startswith("Asked for Core Mean <=") for note in after.notes)
    story = session.files.story()
    assert story is not None
    assert [story.steps[0].stage, story.steps[-1].stage, story.revision] == ["review", "final", 1]
    assert all(step.curves for step in (story.steps[0], story.steps[-1]))
    report = session.files.load("report.html").decode()
    assert "Revision 1, asked for:" in report and "plan in review" in report
    assert session.standing.facts["planning"]["ended"] == story.ended
