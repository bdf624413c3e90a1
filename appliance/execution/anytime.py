"""The virtual planner of a session: a deliverable plan at once, then better ones until it is satisfied or time is up.

Preliminary: the fluence under the template's objectives, sequenced, with a true dose. Exploring: a policy looks for
better objectives on a small planning system. Then the full one optimises, sequences, meets goals and spares organs from
what was found. Whenever time is up or the planning system fails, the best plan with a true dose is what comes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from appliance.contracts import (
    CalculatedDose,
    GoalSet,
    Objectives,
    Planned,
    PlanningFacts,
    PlanningState,
    StoryStage,
    TradeOff,
)
from appliance.contracts.progress import Progress, silent
from appliance.errors import PlanningError
from appliance.execution.best_plan import Deliverable, rank
from appliance.execution.deadline import TimeUp
from appliance.execution.exploring import Exploring, Found, explore
from appliance.execution.guide import Guide
from appliance.execution.late_proof import prove_the_last
from appliance.execution.meeting import Met
from appliance.execution.operator import Candidate, Operator
from appliance.execution.planner import (
    SPARING_FROM,
    ending,
    imitate_first,
    make_deliverable,
    part_of,
    push_fluence,
    rules_of,
    traded,
)
from appliance.execution.rules import Rules
from appliance.execution.sparing import SPARING_ROUNDS, spare
from appliance.execution.steering.episode import PlanningEpisode, Scorer
from appliance.execution.telling import Teller
from appliance.execution.watch import TPS_FAILURES, reason_of
from appliance.execution.watched import WatchedTps

EXPLORING_FROM, IMPROVING_FROM = 0.15, 0.25
"""Progress at which exploring and the stages on the full planning system begin."""
TEMPLATE, RULES = "template", "rules"

Curves = Callable[[CalculatedDose], Mapping[str, tuple[float, ...]]]
"""DVHs of a true dose by structure, Gy at `observation.VOLUMES_PERCENT`."""


@dataclass(frozen=True, eq=False)
class Way:
    """How a case is planned. scorer: of the scorecard, percent. exploring: None: the rules push goals on the full
    planning system alone. is_template: nothing but the preliminary plan. fallback: asked at the end: why another policy
    than the configured one planned. policy_sha256: of its network. curves: for the story. notes: what there is to say
    before it begins. start: what the guide's dose is of (see PlanningFacts)."""

    scorer: Scorer
    exploring: Exploring | None = None
    guide: Guide | None = None
    sparing_rounds: int = SPARING_ROUNDS
    is_template: bool = False
    fallback: Callable[[], str] = lambda: ""
    policy_sha256: str = ""
    curves: Curves = lambda _: {}
    notes: tuple[str, ...] = ()
    start: str = "goals"


def plan_anytime(tps: WatchedTps, goal_set: GoalSet, way: Way, progress: Progress = silent) -> Planned:
    """Time is counted by the deadline of the watch. Raises what the planning system fails with before there is a
    deliverable plan, and whatever `progress` raises."""
    return AnytimePlanner(tps, goal_set, way, progress).plan()


@dataclass(eq=False)
class AnytimePlanner:
    """One case, planned once. began, met: what was asked for, and given up, of the preliminary plan and of the last."""

    tps: WatchedTps
    goal_set: GoalSet
    way: Way
    progress: Progress
    best: Deliverable | None = None
    preliminary: Deliverable | None = None
    calls: int = 0
    began: Met | None = None
    met: Met | None = None
    stage: StoryStage = "preliminary"
    has_failed: bool = False

    def __post_init__(self) -> None:
        self.deadline, self.notes = self.tps.watch.deadline, list(self.way.notes)
        self.start = self.way.start
        self.operator = Operator(self.tps, self.goal_set, self._offer, self._seen)
        self.teller = Teller(self.goal_set, self.way.scorer, clock=self.deadline.clock)

    def plan(self) -> Planned:
        ended = self._until_done()
        self.tps.watch.may_stop = False
        best = self.best
        if best is None:
            raise PlanningError("the planning system made no plan that could be judged")
        items = self._traded(best)
        notes = (*self.notes, *_instead(self.way.fallback()), *(item.sentence for item in items))
        self._tell("final", best.state, curves=self.way.curves(best.dose))
        self.progress(f"planner: {ended}", 1.0)
        story = self.teller.story(self.by, ended=ended, fallback=self.way.fallback())
        kept = "preliminary" if best is self.preliminary else "improved"
        facts = PlanningFacts(
            self.by, self.way.policy_sha256, story.fallback, self.calls, kept, self.deadline.budget_s,
            round(self.deadline.seconds, 3), ended, self.start,
        )  # fmt: skip
        return Planned(best.plan, best.dose, notes, tuple(items), story, facts)

    @property
    def by(self) -> str:
        if self.way.exploring is not None:
            return self.way.exploring.policy.name
        return TEMPLATE if self.way.is_template else RULES

    def _until_done(self) -> str:
        """Why it ended."""
        try:
            rules, state = self._preliminary()
            self.tps.watch.may_stop = True
            return "the template's plan is wanted" if self.way.is_template else self._improve(rules, state)
        except TimeUp:
            said = f"the time budget of {self.deadline.budget_s:g} s was used"
            if self.best is not None:
                prove_the_last(self.operator, self.tps.watch, self.best.state)
        except TPS_FAILURES as error:
            if self.best is None:
                raise
            self.has_failed, said = True, f"the planning system failed ({reason_of(error)})"
        self.notes.append(f"Planning ended early: {said}. The best plan made by then is kept")
        return said

    def _preliminary(self) -> tuple[Rules, PlanningState | None]:
        """Rules and fluence that it was made from; None: one that was not optimised for them."""
        self.progress("planner: preliminary", 0.0)
        rules = rules_of(self.operator, self.way.guide)
        imitate_first(self.tps, self.way.guide)
        fluence = self.tps.optimise_fluence(rules.first)
        # A plan that is meant to stay is not made in haste.
        state = (self.tps.sequence if self.way.is_template else self.tps.sequence_quickly)(rules.first)
        self._deliverable(state, rules, TEMPLATE, "a deliverable plan under the template's objectives")
        return rules, fluence

    def _deliverable(self, state: PlanningState, rules: Rules, by: str, told: str) -> None:
        """Scales the apertures as they stand to a first plan with a true dose."""
        if (factor := self.operator.factor(state)) != 1.0:
            self.tps.normalise(factor)
        self.operator.judge()
        self.preliminary = self.best
        if self.best is not None:
            self.began = self.met = Met(self.best.candidate, rules.first, rules, "preliminary")
            curves = self.way.curves(self.best.dose)
            self._tell("preliminary", self.best.state, rules.first, by=by, curves=curves, told=told)

    def _improve(self, rules: Rules, begun: PlanningState | None) -> str:
        """begun: the fluence, where it was optimised for the rules' first objectives."""
        found = self._explore()
        if found.objectives:
            rules, begun = rules_of(self.operator, self.way.guide, found.objectives), None
        onwards, self.stage = part_of(self.progress, IMPROVING_FROM, 1.0), "fluence"
        rules, objectives, _ = push_fluence(self.operator, rules, onwards, begun=begun)
        self.stage = "apertures"
        self.met = met = make_deliverable(self.operator, rules, objectives, onwards)
        self.stage = "sparing"
        last = spare(self.operator, met, self.way.sparing_rounds, part_of(onwards, SPARING_FROM, 1.0))
        return ending(self.operator, met, last.state)

    def _explore(self) -> Found:
        if self.way.exploring is None:
            return Found((), 0)
        self.tps.watch.check_time()
        self.progress("planner: exploring", EXPLORING_FROM)
        found = explore(self.way.exploring, self.goal_set, self.deadline.left_s, self._told)
        self.calls = found.calls
        if found.why:
            self.notes.append(f"The policy did not explore to its end: {found.why}")
        return found

    def _told(self, episode: PlanningEpisode, by: str) -> None:
        self.teller.explored(episode, by)
        share = len(episode.steps) / max(episode.terms.calls, 1)
        part = EXPLORING_FROM + (IMPROVING_FROM - EXPLORING_FROM) * min(share, 1.0)
        self.progress(self.teller.line(episode.terms.calls), part)

    def _seen(self, objectives: Objectives, state: PlanningState) -> None:
        self._tell(self.stage, state, objectives, by=RULES)

    def _offer(self, candidate: Candidate) -> None:
        """Keeps a plan with a true dose that is better than the best so far."""
        if self.stage != "preliminary":
            self._tell(self.stage, candidate.state, by=RULES, told="the plan as it stands, by its full dose")
        plan, dose = self.tps.finish()
        new = Deliverable(candidate, plan, dose)
        if self.best is None or self._rank(candidate.state) > self._rank(self.best.state):
            self.best = new

    def _rank(self, state: PlanningState) -> tuple[bool, int, float]:
        return rank(self.goal_set, self.way.scorer, state)

    def _traded(self, best: Deliverable) -> list[TradeOff]:
        """What stands against the missed goals of the plan that is kept, where the planning system can still say."""
        met = self.began if best is self.preliminary else self.met
        if met is None:
            return []
        try:
            best.candidate.back()
            return traded(self.operator, met, best.state)
        except TPS_FAILURES as error:
            if not self.has_failed:
                self.notes.append(f"What stands against missed goals is not known: {reason_of(error)}")
            return []

    def _tell(
        self,
        stage: StoryStage,
        state: PlanningState,
        objectives: Objectives = (),
        *,
        by: str = "",
        curves: Mapping[str, tuple[float, ...]] | None = None,
        told: str = "",
    ) -> None:
        self.teller.stage(stage, by or self.by, state, objectives, curves=curves, told=told)


def _instead(fallback: str) -> tuple[str, ...]:
    return (f"Planned by the rules: {fallback}",) if fallback else ()
