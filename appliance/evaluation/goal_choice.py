"""Which goal set belongs to a case."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.contracts import Case, GoalSet
from appliance.errors import RefusedGoals, UncoveredFractionation
from appliance.evaluation.fractionation import DOSE_TOLERANCE, case_course, course_words, uncovered
from appliance.evaluation.goal_reduction import goals_for_case, present_structures, targets_of, with_pairs
from appliance.evaluation.guidelines.shipped import list_goal_sets

__all__ = ["choose_goal_set", "goal_set_for_site", "goal_sets_for_site", "goals_for_case", "site_names"]


def choose_goal_set(case: Case, among: Sequence[GoalSet] | None = None) -> GoalSet:
    """The most specific goal set that fits the case, of those given or of those that ship (`goals_for_case` then
    reduces it to this patient).

    First the sets with a prescription of their own: one fits if every required target is there, at least one organ it
    limits is there (or it limits none), no PTV of the case is left without a prescription, and the case's own
    prescription does not contradict it, neither in dose nor in fractions. If none does and the case is prescribed, the
    guidelines that limit organs whatever is prescribed: one fits if every PTV is prescribed, an organ it limits is
    there, and it covers the fractionation. Among those that fit, the set wins that names most structures of the case,
    then the one that misses fewest.

    Raises RefusedGoals if none fits or two fit equally well: then a person must name one; UncoveredFractionation where
    a guideline fits in everything else.
    """
    known = tuple(list_goal_sets() if among is None else among)
    automatic = [goal_set for goal_set in known if goal_set.automatic]
    present = present_structures(case)
    fitting = [goal_set for goal_set in automatic if not goal_set.is_template and _fits(goal_set, case, present)]
    fitting = fitting or _guidelines(automatic, case)
    if not fitting:
        raise RefusedGoals(
            f"no known goal set fits the structures and prescription of this case (its targets: {targets_of(case)}); "
            f"name one with --site ({', '.join(site_names(known))}) or pass a goal file with --goals"
        )

    def rank(goal_set: GoalSet) -> tuple[int, int]:
        named, there = _named(goal_set), with_pairs(present)
        return len(named & there), -len(named - there)

    best = max(map(rank, fitting))
    chosen = [goal_set for goal_set in fitting if rank(goal_set) == best]
    if len(chosen) > 1:
        names = " and ".join(goal_set.site for goal_set in chosen)
        raise RefusedGoals(f"the goal sets {names} fit this case equally well; name one of them with --site")
    return chosen[0]


def site_names(known: Sequence[GoalSet]) -> tuple[str, ...]:
    """What --site may say to reach every set: the sites, those of one guideline per fractionation said once."""
    return tuple(sorted({goal_set.also_for[0] if goal_set.is_template and goal_set.also_for else goal_set.site
                         for goal_set in known}))  # fmt: skip


def _named(goal_set: GoalSet) -> frozenset[str]:
    in_goals = {part for goal in goal_set.goals for part in goal.structure.split("+")}
    return frozenset(in_goals | {name for name, _ in goal_set.prescription})


def _fits(goal_set: GoalSet, case: Case, present: frozenset[str]) -> bool:
    wanted = dict(goal_set.prescription)
    required = {name for name in wanted if name not in goal_set.optional_targets}
    organs = _named(goal_set) - wanted.keys()
    return (
        required <= present
        and (not organs or bool(organs & present))
        and _planned_for(case) <= wanted.keys()
        and all(
            entry.structure not in wanted or _agrees(entry.dose_gy, wanted[entry.structure])
            for entry in case.prescription
        )
        and (not case.prescription or case_course(case)[0] in (0, goal_set.fractions))
    )


def _planned_for(case: Case) -> frozenset[str]:
    return frozenset(target.tg263 for target in case.targets if target.tg263.upper().startswith("PTV"))


def _agrees(prescribed_gy: float, wanted_gy: float) -> bool:
    return abs(prescribed_gy - wanted_gy) <= DOSE_TOLERANCE * wanted_gy


def _guidelines(known: Sequence[GoalSet], case: Case) -> list[GoalSet]:
    """Those without a prescription that fit the prescribed case. Raises UncoveredFractionation."""
    fractions, prescribed = case_course(case)
    there = with_pairs(present_structures(case))
    if not prescribed or not _planned_for(case) <= {name for name, _ in prescribed}:
        return []
    named = [goal_set for goal_set in known if goal_set.is_template and _named(goal_set) & there]
    highest_gy = max(dose_gy for _, dose_gy in prescribed)
    reasons = {goal_set.name: uncovered(goal_set, fractions, highest_gy) for goal_set in named}
    covering = [goal_set for goal_set in named if not reasons[goal_set.name]]
    if named and not covering:
        raise UncoveredFractionation(
            f"{course_words(fractions, highest_gy)}. {'; '.join(reason for reason in reasons.values() if reason)}. "
            "Name another goal set with --site, or pass a goal file for this fractionation with --goals"
        )
    return covering


def goal_sets_for_site(site: str, among: Sequence[GoalSet] | None = None) -> tuple[GoalSet, ...]:
    """The goal sets (of those that ship, or those given) that answer to a site ('prostate') or the one of a name
    ('tg119-prostate'). Raises RefusedGoals listing the sites."""
    known = tuple(list_goal_sets() if among is None else among)
    found = tuple(g for g in known if site in (g.site, *g.also_for)) or tuple(g for g in known if site == g.name)
    if not found:
        sites = ", ".join(site_names(known))
        raise RefusedGoals(f"there is no goal set for the site '{site}'; use one of {sites}, or pass a goal file")
    return found


def goal_set_for_site(site: str) -> GoalSet:
    """The one shipped set of exactly this site or name. Raises RefusedGoals."""
    found = goal_sets_for_site(site)
    return next((goal_set for goal_set in found if site in (goal_set.site, goal_set.name)), found[0])
