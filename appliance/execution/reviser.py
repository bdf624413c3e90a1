"""A revision of a plan in review from its first look to a whole plan: told step by step, and never with less than there
was. What `revising` does may fail anywhere, because planning systems do."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from appliance.contracts import (
    GoalSet,
    Objectives,
    Planned,
    PlanningFacts,
    PlanningState,
    Revision,
    StoryStage,
    TradeOff,
    Working,
)
from appliance.contracts.progress import Progress, silent
from appliance.errors import PlanningError
from appliance.execution.anytime import Curves
from appliance.execution.best_plan import Deliverable
from appliance.execution.deadline import TimeUp
from appliance.execution.edits import in_words, planning_set
from appliance.execution.late_proof import prove_the_last
from appliance.execution.meeting import Met
from appliance.execution.operator import Candidate, Operator
from appliance.execution.planner import traded
from appliance.execution.revising import RESERVE, Task, carried
from appliance.execution.rules import Rules
from appliance.execution.steering.episode import Scorer
from appliance.execution.telling import Teller
from appliance.execution.watch import TPS_FAILURES, reason_of
from appliance.execution.watched import WatchedTps

BY = "rules"
"""Who revises: no policy explores here, because the plan as it stands is gone on from."""
AS_IT_WAS = "nothing better was found that keeps what comes before it"


def revise_plan(
    tps: WatchedTps,
    revision: Revision,
    *,
    before: Planned,
    scorer: Scorer,
    curves: Curves = lambda _: {},
    progress: Progress = silent,
) -> Planned:
    """The revised plan and its dose, of the full calculation. tps: of `planning_case` and `planning_set`. before: the
    plan in review, and where planning stood. scorer: of the goals that the plan is judged by. curves: for the story.
    A goal of a higher priority than what was asked for, coverage and the limit on hot spots are never lost; for wishes
    no goal is. The notes say what was asked and reached, and what it cost.

    The deadline of the watch, and a planning system that fails or hangs, end it with the best plan that has a true
    dose, the one in review at the least, and the notes say why. Raises what it fails with before the plan in review was
    looked at, PlanningError where no working state was kept or it does not fit, and whatever `progress` raises."""
    return Reviser(tps, revision, before, scorer, curves, progress).revise()


@dataclass(eq=False)
class Reviser:
    """One revision. best: of the plans with a true dose that may be had; met: what was asked for at the end."""

    tps: WatchedTps
    revision: Revision
    before: Planned
    scorer: Scorer
    curves: Curves
    progress: Progress
    task: Task | None = None
    best: Deliverable | None = None
    met: Met | None = None
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.goal_set, judged = planning_set(self.revision), len(self.revision.goal_set.goals)
        self.deadline = self.tps.watch.deadline
        self.operator = Operator(self.tps, self.planned_for, self._offer, self._seen)
        self.teller = Teller(
            in_words(self.goal_set, self.revision), lambda values: self.scorer(values[:judged]),
            clock=self.deadline.clock, judged=judged,
        )  # fmt: skip

    @property
    def planned_for(self) -> GoalSet:
        """The goals as the planning system has them."""
        return self.goal_set

    @property
    def working(self) -> Working:
        if self.before.working is None:
            raise PlanningError("no state of planning was kept with this plan; start the session again with retry")
        return self.before.working

    def revise(self) -> Planned:
        self.tps.resume(self.working, (self.before.plan, self.before.dose))
        reviewed = self.operator.judge()
        first = Deliverable(reviewed, self.before.plan, self.before.dose)
        self.best, self.task = first, Task(self.operator, self.revision, self.goal_set, reviewed)
        curves = self.curves(first.dose)
        self.teller.stage("review", BY, reviewed.state, curves=curves)
        self.tps.watch.may_stop = True
        ended, best = self._until_done(self.task, first), self.best
        self.tps.watch.may_stop = False
        is_same = best.plan.digest == first.plan.digest
        self.notes += self.task.told(best.candidate)
        if is_same and self.met is not None:
            self.notes.append(f"Revision {self.revision.number} leaves the plan as it was: {AS_IT_WAS}")
        items = self._traded(best)
        self.teller.stage("final", BY, best.state, curves=curves if is_same else self.curves(best.dose))
        self.progress("revision: done", 1.0)
        asked = "; ".join(f"{made.old} -> {made.new}" for made in self.revision.made)
        story = replace(self.teller.story(BY, ended=ended), revision=self.revision.number, asked=asked)
        kept, seconds = "as it was" if is_same else "improved", round(self.deadline.seconds, 3)
        facts = PlanningFacts(BY, kept=kept, budget_s=self.deadline.budget_s, seconds=seconds, ended=ended)
        return Planned(best.plan, best.dose, tuple(self.notes), tuple(items), story, facts)

    def _until_done(self, task: Task, first: Deliverable) -> str:
        """Why it ended."""
        try:
            met = self.plan_on(task)
            best = met.best
            self.best = Deliverable(best, *self.operator.result(best))
        except TimeUp:
            best_state = (self.best or first).state
            prove_the_last(self.operator, self.tps.watch, best_state, lambda state: not task.forbidden(state, RESERVE))
            return self._early(f"the time budget of {self.deadline.budget_s:g} s was used")
        except TPS_FAILURES as error:
            return self._early(f"the planning system failed ({reason_of(error)})")
        self.met = met
        if best.state is task.before.state:
            return AS_IT_WAS
        if not self.revision.asked:
            return "what was given way is used"
        return f"what was asked for is {'reached' if task.reached(best.state) else 'not reached in full'}"

    def _early(self, said: str) -> str:
        kept = "The plan stays as it was" if self._stays else "The best plan made by then is kept"
        self.notes.append(f"Revision {self.revision.number} ended early: {said}. {kept}")
        return said

    def plan_on(self, task: Task) -> Met:
        """best: by a true dose; the plan in review where nothing better may be had."""
        rules, objectives = self._begun()
        rules = task.settled(rules)
        best, objectives = task.refined(rules, objectives, self.progress)
        best, objectives = task.anew(rules, objectives, best, self.progress)
        self.progress("revision: final dose", 0.8)
        return Met(task.proven(rules, objectives, best), objectives, rules, "")

    def _begun(self) -> tuple[Rules, Objectives]:
        """The story sets what is asked for first against the weights that planning had come to."""
        template = self.tps.initial_objectives()
        as_planned = replace(self.revision, asked=(), relaxed=())
        self.teller.asked("apertures", carried(self.goal_set, template, self.working, as_planned)[1])
        return carried(self.goal_set, template, self.working, self.revision)

    @property
    def _stays(self) -> bool:
        return self.best is None or self.best.plan.digest == self.before.plan.digest

    def _seen(self, objectives: Objectives, state: PlanningState) -> None:
        stage: StoryStage = "fluence" if math.isnan(state.mu) else "apertures"
        self.teller.stage(stage, BY, state, objectives)

    def _offer(self, candidate: Candidate) -> None:
        """Keeps a plan with a true dose that may be had and scores more than the best so far: for when it ends early.
        The plan in review comes first and is kept by whoever asked for it."""
        if self.task is None or self.best is None:
            return
        self.teller.stage("apertures", BY, candidate.state, told="the plan as it stands, by its full dose")
        is_better = self.operator.score(candidate.state) > self.operator.score(self.best.state)
        if is_better and not self.task.forbidden(candidate.state):
            self.best = Deliverable(candidate, *self.tps.finish())

    def _traded(self, best: Deliverable) -> tuple[TradeOff, ...]:
        """What stands against the missed goals that the plan is judged by; the notes have wishes too. Where it ended
        early, what was known of the plan in review, if that stays."""
        if self.met is None:
            return self.before.trade_offs if self._stays else ()
        try:
            found = traded(self.operator, self.met, best.state)
        except TPS_FAILURES as error:
            self.notes.append(f"What stands against missed goals is not known: {reason_of(error)}")
            return ()
        self.notes += [item.sentence for item in found]
        judged = {(goal.structure, str(goal.metric)) for goal in self.revision.goal_set.goals}
        return tuple(item for item in found if (item.structure, item.metric) in judged)
