"""Goals that cannot be judged as they are written, each as a finding of its own: none is silently lost."""

from __future__ import annotations

from appliance.contracts import ClinicalGoal, Finding, MetricKind, Outcome, Severity

FRAME = "AAPM TG-263 and the goal set: every goal is judged, or it is said why not"


def missing(goal: ClinicalGoal) -> Finding:
    """An absent organ is to be looked at. An absent planning target volume is a dose level that this patient does not
    have (a required one is refused before), and said for the record."""
    optional = goal.structure.upper().startswith("PTV")
    return _finding(
        "goals.structure-missing",
        "A goal's structure is missing",
        f"{goal} is not judged: the case has no structure {goal.structure} with a volume on today's image; contour it "
        "or confirm that the goal does not apply",
        goal,
        Severity.INFO if optional else Severity.WARN,
    )


def not_covered(goal: ClinicalGoal, why: str) -> Finding:
    return _finding(
        "goals.dose-not-covering", "The dose grid leaves out a goal's structure", f"{goal} is not judged: {why}", goal
    )


def not_computable(goal: ClinicalGoal, volume_cc: float) -> Finding:
    return _finding(
        "goals.metric-not-computable",
        "A goal's metric has no meaning here",
        f"{goal} is not judged: {goal.structure} has only {volume_cc:.2f} cc, so there is no dose to "
        f"{goal.metric.argument:g} cc of it; check its contours and the goal",
        goal,
    )


def out_of_reach(goal: ClinicalGoal, volume_cc: float) -> Finding | None:
    """A lower limit in cc on a structure that is smaller: judged, and failed by any plan."""
    kinds = (MetricKind.VOLUME_AT_DOSE, MetricKind.COLD_VOLUME)
    if goal.unit != "cc" or goal.metric.kind not in kinds or goal.comparator.value != ">=" or goal.limit <= volume_cc:
        return None
    return _finding(
        "goals.limit-beyond-structure",
        "A goal asks for more volume than the structure has",
        f"{goal} fails with any plan: {goal.structure} has {volume_cc:.1f} cc on today's image; check whether all of "
        "the organ is contoured",
        goal,
    )


def contradiction(one: ClinicalGoal, other: ClinicalGoal) -> Finding:
    return _finding(
        "goals.contradictory",
        "Two goals contradict each other",
        f"no dose meets both {one} and {other}; correct the goal set",
        one,
    )


def other_fractionation(planned: int, received: int, goal_set: str) -> Finding:
    """A goal set that somebody named by hand asks for other fractions than the received plan: never without a reason,
    because every limit is one of a fractionation."""
    return Finding(
        "goals.other-fractionation",
        "Another number of fractions than the received plan's",
        Severity.STOP,
        Outcome.FOUND,
        f"the received plan has {received} fractions; '{goal_set}', which was named by hand, asks for {planned} and is "
        "followed. Confirm that this is the course to be given",
        "AAPM TG-100 (Huq et al., Med Phys 43:4209, 2016): a wrong prescription among the failures to be checked for",
    )


def overlapping(goal: ClinicalGoal, target: str, prescribed_gy: float, inside_cc: float, whole_cc: float) -> Finding:
    """An upper limit that an organ misses as soon as its part inside the target has the target's dose."""
    return _finding(
        "goals.target-overlap",
        "An organ's limit holds only where a target is given less",
        f"{inside_cc:.1f} cc of {goal.structure} ({100.0 * inside_cc / whole_cc:.0f} %) lie inside {target}: with "
        f"{prescribed_gy:g} Gy to all of {target}, {goal} cannot hold. Either a part of {target} is given less, or the "
        "limit is exceeded: a physician decides which",
        goal,
    )


def _finding(
    identifier: str, title: str, evidence: str, goal: ClinicalGoal, severity: Severity = Severity.WARN
) -> Finding:
    return Finding(identifier, title, severity, Outcome.FOUND, evidence, goal.source or FRAME)
