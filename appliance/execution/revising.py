"""A plan in review planned on to what somebody edited: warm, from the apertures as they stand, sparing what was good.

First rounds of refinement. In the first of them every organ's goal that is met is held at what the plan has, because an
edit of one structure is no reason to change the others; if that is not enough they may have what their goals leave
them. Only where that is not enough either, and the fluence shows that more can be had, apertures are made anew."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from appliance.contracts import GoalSet, Objective, Objectives, PlanningState, Revision, Working
from appliance.contracts.progress import Progress
from appliance.execution.edits import in_words
from appliance.execution.meeting import GAIN
from appliance.execution.normalise import scaled
from appliance.execution.operator import Candidate, Operator
from appliance.execution.rules import Rules, hot_shortfall, shortfall
from appliance.execution.score import is_organ
from appliance.execution.sparing import lowered

ROUNDS, HELD_ROUNDS = 4, 2
"""Refinements at most, and those in which organs are held at what they have (chosen: what four do not win, more hardly
do, and each costs a tenth of planning)."""
RESERVE = 0.003
"""Goals are held with this room (relative), as while sparing."""
ASKED_WEIGHT = 2.0
"""What was asked for begins this much heavier than the template has it (chosen: the plan stands at an optimum without
it, and rounds are few)."""
RELAXED_WEIGHT = 0.25
"""What may give way begins this much lighter (as what a planner gives up)."""
FAR, WORTH = 0.02, 0.5
"""Apertures are made anew if what was asked for stays missed by more than FAR, and the fluence misses it by less than
this share of that (chosen: making them anew costs as much as four rounds)."""
REPAIRS = 1
"""True doses at most beside the first where that shows a loss."""


def carried(goal_set: GoalSet, template: Objectives, working: Working, revision: Revision) -> tuple[Rules, Objectives]:
    """Rules and objectives to begin with: the template of the goals as they are now, with the weights that planning had
    come to, and what a planner had added. What the edits are about begins afresh, heavier or lighter."""
    then, now = _numbered(working.goals), _numbered(tuple(goal.key for goal in goal_set.goals))
    known = {_identity(objective, then): objective for objective in working.objectives}
    factor = dict.fromkeys(revision.asked, ASKED_WEIGHT) | dict.fromkeys(revision.relaxed, RELAXED_WEIGHT)
    first = tuple(o.scaled(factor.get(o.goal, 1.0)) for o in template)
    there = {_identity(objective, now) for objective in first}
    added = tuple(o for identity, o in known.items() if identity not in there and o.goal < 0)
    begun = tuple(o if o.goal in factor else replace(o, weight=known.get(_identity(o, now), o).weight) for o in first)
    return Rules(goal_set, (*first, *added)), (*begun, *added)


def _numbered(keys: tuple[str, ...]) -> list[tuple[str, int]]:
    """A goal and a wish may have one key: the second of it counts as 2."""
    return [(key, keys[: place + 1].count(key)) for place, key in enumerate(keys)]


def _identity(objective: Objective, names: list[tuple[str, int]]) -> tuple[object, ...]:
    goal = names[objective.goal] if 0 <= objective.goal < len(names) else ()
    return objective.structure, objective.kind, objective.hot_spot, goal


def held(rules: Rules, objectives: Objectives, state: PlanningState, free: Sequence[int]) -> Objectives:
    """The planner's habits for what is missed or was edited; organs whose goals are met or were given up are asked for
    what they have."""
    adjusted = rules.adjust(objectives, state.goal_values, state.hottest_gy, room=RESERVE)
    goals, kept = rules.goal_set.goals, []
    for objective, first in zip(adjusted, rules.first, strict=True):
        value = state.goal_values[objective.goal] if objective.goal >= 0 else math.nan
        if (
            math.isnan(value)
            or objective.goal in free
            or not is_organ(rules.goal_set, goals[objective.goal])
            or (shortfall(goals[objective.goal], value) > 0 and objective.goal not in rules.given_up)
        ):
            kept.append(objective)
        else:
            kept.append(lowered(first, value, goals[objective.goal], 0.0))
    return tuple(kept)


@dataclass(frozen=True, eq=False)
class Task:
    """One revision of one plan. before: the plan in review, by a true dose."""

    operator: Operator
    revision: Revision
    goal_set: GoalSet
    before: Candidate

    def lost(self, state: PlanningState, room: float = 0.0) -> list[int]:
        """Goals that the plan in review meets and this one does not."""
        pairs = zip(self.goal_set.goals, self.before.state.goal_values, state.goal_values, strict=True)
        return [i for i, (g, then, now) in enumerate(pairs) if shortfall(g, then) <= 0 < shortfall(g, now) + room]

    def forbidden(self, state: PlanningState, room: float = 0.0) -> bool:
        """Whether a goal was lost that comes before what was asked for, coverage, or the limit on hot spots."""
        goals, judged = self.goal_set.goals, len(self.revision.goal_set.goals)
        most = min((goals[i].priority for i in self.revision.asked), default=math.inf)
        hot_then = hot_shortfall(self.goal_set, self.before.state.hottest_gy)
        if hot_then <= 0 < hot_shortfall(self.goal_set, state.hottest_gy) + room:
            return True
        lost = [i for i in self.lost(state, room) if i < judged and i not in self.revision.relaxed]
        return any(goals[i].priority < most or not goals[i].caps_dose for i in lost)

    def settled(self, rules: Rules) -> Rules:
        """What the plan in review misses was fought for when it was planned; fought for again it would cost what is
        good. Where something was relaxed, it is: there may be more to be had now."""
        if self.revision.relaxed:
            return rules
        for i, (goal, value) in enumerate(zip(self.goal_set.goals, self.before.state.goal_values, strict=True)):
            if goal.caps_dose and i not in self.revision.asked and shortfall(goal, value) > 0:
                rules = rules.giving_up(i, value)
        return rules

    def reached(self, state: PlanningState) -> bool:
        return all(shortfall(self.goal_set.goals[i], state.goal_values[i]) <= 0 for i in self.revision.asked)

    def enough(self, state: PlanningState) -> bool:
        """What was relaxed is there for others: then all goals are wanted, not only what was asked for."""
        if self.revision.relaxed:
            return self.operator.satisfied(state, 0.0)
        return self.reached(state) and not self.lost(state)

    @property
    def free(self) -> tuple[int, ...]:
        """Goals that are not held at what they have."""
        return (*self.revision.asked, *self.revision.relaxed)

    def missed(self, state: PlanningState) -> float:
        """The largest relative miss of what was asked for."""
        return max((shortfall(self.goal_set.goals[i], state.goal_values[i]) for i in self.revision.asked), default=0.0)

    def refined(self, rules: Rules, objectives: Objectives, progress: Progress) -> tuple[Candidate, Objectives]:
        best, state = self.before, self.before.state
        for number in range(ROUNDS):
            progress("revision: apertures", 0.1 + 0.5 * number / ROUNDS)
            if best is not self.before and self.enough(best.state):
                break
            if number < HELD_ROUNDS:
                objectives = held(rules, objectives, state, self.free)
            else:
                objectives = rules.adjust(objectives, state.goal_values, state.hottest_gy, room=RESERVE)
            state = self.operator.refine(objectives)
            best = self.better(state, best)
        return best, objectives

    def better(self, state: PlanningState, best: Candidate) -> Candidate:
        """The plan as it stands, with what its monitor units should be scaled by, if it may be had and scores more."""
        factor = self.operator.factor(state, room=RESERVE)
        wanted = scaled(self.goal_set, state, factor)
        room = 0.0 if best.judged else RESERVE
        if self.forbidden(wanted):
            return best
        more = self.operator.score(wanted, room=RESERVE) > self.operator.score(best.state, room=room) + GAIN
        return self.operator.kept(state, factor) if more else best

    def anew(
        self, rules: Rules, objectives: Objectives, best: Candidate, progress: Progress
    ) -> tuple[Candidate, Objectives]:
        """Apertures made anew from the fluence where that promises much more; otherwise as it was."""
        far = self.missed(best.state)
        if far <= FAR:
            return best, objectives
        progress("revision: fluence", 0.6)
        state = self.operator.tps.optimise_fluence(objectives)
        self.operator.seen(objectives, state)
        if self.missed(state) > WORTH * far or self.forbidden(state, RESERVE):
            best.back()
            return best, objectives
        progress("revision: new apertures", 0.65)
        self.operator.tps.sequence(objectives)
        fresh = self.operator.judge()
        objectives = rules.adjust(objectives, fresh.state.goal_values, fresh.state.hottest_gy, room=RESERVE)
        fresh = self.better(self.operator.refine(objectives), fresh)
        gain = self.operator.score(fresh.state) - self.operator.score(best.state)
        return (fresh if gain > GAIN and not self.forbidden(fresh.state) else best), objectives

    def proven(self, rules: Rules, objectives: Objectives, best: Candidate) -> Candidate:
        """`best` by a true dose, mended by monitor units or one more round where that shows a loss; the plan in review
        where it is no better or may not be had."""
        proven = self.operator.true(best)
        for _ in range(REPAIRS):
            if self.good(proven.state) or proven is self.before:
                break
            factor = self.operator.factor(proven.state)
            state = proven.state
            if factor == 1.0:
                state = self.operator.refine(held(rules, objectives, proven.state, self.free))
                factor = self.operator.factor(state, room=RESERVE)
            mended = self.operator.true(self.operator.kept(state, factor))
            worse = self.forbidden(mended.state) and not self.forbidden(proven.state)
            if not worse and self.operator.score(mended.state) > self.operator.score(proven.state):
                proven = mended
        if self.forbidden(proven.state) or self.operator.score(proven.state) < self.operator.score(self.before.state):
            return self.operator.true(self.before)
        proven.back()
        return proven

    def good(self, state: PlanningState) -> bool:
        return not self.lost(state) and not self.forbidden(state)

    def told(self, best: Candidate) -> list[str]:
        """What was asked and what it became; what was lost for it."""
        sentences = []
        goals = in_words(self.goal_set, self.revision).goals
        for i in self.revision.asked:
            goal, then, now = goals[i], self.before.state.goal_values[i], best.state.goal_values[i]
            if math.isnan(now):
                continue
            is_met = "reached" if goal.met_by(now) else "not reached"
            sentences.append(f"Asked for {goal}: {then:.2f} {goal.unit} before, {now:.2f} now, {is_met}")
        for i in self.lost(best.state):
            if i not in self.revision.asked:
                goal, then, now = goals[i], self.before.state.goal_values[i], best.state.goal_values[i]
                sentences.append(f"Lost by this revision: {goal}, {then:.2f} {goal.unit} before, {now:.2f} now")
        return sentences
