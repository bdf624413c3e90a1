"""The virtual planner where a plan is adapted: it begins at that plan, brought to today, and stays with it if it can.

Preliminary: the apertures of the adapted plan, moved with the target, scaled, with a true dose. Then they are refined
to the goals of today, with organs whose goals are met held at what they have. Planning begins anew from the goals only
where a goal stays missed that the fluence of today meets; of all plans the best is kept, as always. What the planning
system can take as a fluence alone is sequenced, and planned on as a template's plan would be."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from appliance.contracts import GoalSet, Planned, PlanningState, ReferenceStart
from appliance.contracts.progress import Progress
from appliance.errors import PlanningError, PlanningSystemHung
from appliance.execution.anytime import EXPLORING_FROM, RULES, AnytimePlanner, Way
from appliance.execution.meeting import Met, meet
from appliance.execution.planner import FLUENCE_ROOM, ending, part_of, rules_of
from appliance.execution.revising import held
from appliance.execution.rules import Rules, hot_shortfall, shortfall
from appliance.execution.sparing import spare
from appliance.execution.watch import reason_of
from appliance.execution.watched import WatchedTps

REFERENCE, ANEW = "reference", ", then goals"
SPARING_ROUNDS = 2
"""Rounds of sparing at most, where nothing is planned anew (chosen: the reference plan was spared before. On the TG-119
prostate, planned coarsely, 0, 2 and 4 rounds scored 97.5, 98.3 and 98.4; 92, 89 and 82 % of the fluence were still
the reference's)."""
SPARING_FROM = 0.6
"""Progress at which organs are spared, where nothing is planned anew."""


def plan_from_reference(
    tps: WatchedTps, goal_set: GoalSet, *, way: Way, reference: ReferenceStart, progress: Progress
) -> Planned:
    """As `plan_anytime`; where the planning system cannot follow the reference, it is that, and the notes say why."""
    return FromReference(tps, goal_set, way, progress, reference=reference).plan()


@dataclass(eq=False)
class FromReference(AnytimePlanner):
    """is_anew: planned as without a reference, by the policy: from the beginning, from the reference's fluence, or
    after its apertures proved worse."""

    reference: ReferenceStart = field(kw_only=True)
    is_anew: bool = True

    def plan(self) -> Planned:
        made = super().plan()
        if self.is_anew or made.facts is None:
            return made
        return replace(made, facts=replace(made.facts, policy_sha256=""))

    @property
    def by(self) -> str:
        return super().by if self.is_anew else RULES

    def _preliminary(self) -> tuple[Rules, PlanningState | None]:
        self.progress("planner: preliminary", 0.0)
        try:
            followed = self.tps.follow(self.reference)
            rules, state = rules_of(self.operator, self.way.guide), followed.state
            if followed.way == "fluence":
                state = self.tps.sequence_quickly(rules.first)
        except PlanningSystemHung:
            raise
        except PlanningError as error:
            self.notes.append(f"Planned from the goals; the received plan cannot be followed: {reason_of(error)}")
            return super()._preliminary()
        self.notes.append(f"Planned on from {followed.told}")
        self.start, self.is_anew = followed.way, followed.way == "fluence"
        self._deliverable(state, rules, REFERENCE, f"a deliverable plan: {followed.told}")
        return rules, None

    def _improve(self, rules: Rules, begun: PlanningState | None) -> str:
        if self.is_anew or self.best is None:
            return super()._improve(rules, begun)
        self.stage = "apertures"
        meeting = part_of(self.progress, EXPLORING_FROM, SPARING_FROM)
        # The template alone would give organs back what the reference plan spares them, to the last monitor unit.
        known = replace(rules, first=held(rules, rules.first, self.best.state, ()))
        self.met = met = meet(self.operator, known, known.first, meeting, begun=self.best.candidate)
        if not self.operator.satisfied(met.best.state, 0.0):
            self.stage = "fluence"
            fluence = self.tps.optimise_fluence(rules.first)
            if self._promises(fluence, met.best.state):
                return self._anew(rules, fluence, met)
            self._seen(rules.first, fluence)
        self.stage = "sparing"
        rounds = min(self.way.sparing_rounds, SPARING_ROUNDS)
        last = spare(self.operator, met, rounds, part_of(self.progress, SPARING_FROM, 1.0))
        return ending(self.operator, met, last.state)

    def _promises(self, fluence: PlanningState, plan: PlanningState) -> bool:
        """Whether the fluence meets more of what the plan misses than it misses of what the plan meets: apertures are
        no better than the fluence that they are made from. The limit on hot spots counts as a goal."""
        goals = self.goal_set.goals
        had = [shortfall(g, v) for g, v in zip(goals, plan.goal_values, strict=True)]
        has = [shortfall(g, v) for g, v in zip(goals, fluence.goal_values, strict=True)]
        had.append(hot_shortfall(self.goal_set, plan.hottest_gy))
        has.append(hot_shortfall(self.goal_set, fluence.hottest_gy))
        won = sum(then > 0 and now + FLUENCE_ROOM <= 0 for then, now in zip(had, has, strict=True))
        lost = sum(then <= 0 < now for then, now in zip(had, has, strict=True))
        return won > lost

    def _anew(self, rules: Rules, fluence: PlanningState, met: Met) -> str:
        """From the goals, as without a reference; what of both is better is handed on."""
        missed = [
            str(goal)
            for goal, value in zip(self.goal_set.goals, met.best.state.goal_values, strict=True)
            if shortfall(goal, value) > 0
        ]
        followed, self.is_anew = self.best, True
        try:
            return super()._improve(rules, fluence)
        finally:
            stays = self.best is followed
            self.met = met if stays else self.met
            self.start += "" if stays else ANEW
            which = "which gave nothing better" if stays else "and that plan is handed on"
            self.notes.append(
                f"The received plan's apertures miss {', '.join(missed) or 'the limit on hot spots'}. Planned anew "
                f"from the goals, {which}"
            )
