"""What stands on the record's one page, as text: the same for HTML and PDF.

Made from scorecard.json alone, beside the patient's identity and the approval; so every figure can be traced to a row
of the scorecard (`tests/export/test_record.py` does).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from appliance.contracts import Approval, GoalResult, Grade, Identity
from appliance.export.record.sections import Block, blocks_of
from appliance.export.report_html import duration, value_beside_limit

NOTICE = "Research software. Not for clinical use."
TITLE = "Evaluation of the plan"
GOAL_HEAD = ("Structure", "Goal", "Reached", "Acceptable", "Verdict", "Score")
WORST_FIRST = {Grade.FAIL: 0, Grade.VARIATION: 1, Grade.PASS: 2}
COMPARATORS = {"<=": "≤", ">=": "≥"}


@dataclass(frozen=True)
class Page:
    """facts: (name, value) about patient and plan. goals: cells below GOAL_HEAD, the worst first, `grades` beside them.
    headline: the verdict in a sentence. stops: what was found that stops the plan, to stand above all. blocks: the
    further parts of the evaluation. sentences: other findings and notes.
    digests: (what, SHA-256)."""

    facts: tuple[tuple[str, str], ...]
    headline: str
    stops: tuple[str, ...]
    goals: tuple[tuple[str, ...], ...]
    grades: tuple[Grade, ...]
    blocks: tuple[Block, ...]
    sentences: tuple[str, ...]
    digests: tuple[tuple[str, str], ...]
    approval: str


def page_of(card: Mapping[str, Any], who: Identity, plan_label: str, approval: Approval | None) -> Page:
    """`card`: a scorecard as `scorecard.json` holds it."""
    goals = sorted((_goal(entry) for entry in card["goals"]), key=_badness)
    return Page(
        facts=(
            ("Patient", who.patient_name.replace("^", " ").strip() or "no name"),
            ("Patient ID", who.patient_id or "none"),
            ("Born", _date(who.birth_date) or "not given"),
            ("Plan", plan_label),
            ("Goal set", str(card["goal_set"])),
            ("Prescription", _prescription(card)),
        ),
        headline=_headline(card),
        stops=_stops(card),
        goals=tuple(_goal_cells(goal) for goal in goals),
        grades=tuple(goal.grade for goal in goals),
        blocks=(_targets(card), _delivery(card["plan"]), *blocks_of(card)),
        sentences=_sentences(card),
        digests=tuple((name.replace("_", " "), str(digest)) for name, digest in card["digests"].items()),
        approval=_approval(approval),
    )


def _goal(entry: Mapping[str, Any]) -> GoalResult:
    known = {name: entry[name] for name in GoalResult.__dataclass_fields__ if name in entry}
    return GoalResult(**known | {"grade": Grade(known["grade"])})


def _badness(goal: GoalResult) -> tuple[int, int]:
    return WORST_FIRST[goal.grade], goal.priority


def _goal_cells(goal: GoalResult) -> tuple[str, ...]:
    sign = COMPARATORS[goal.comparator]
    return (
        goal.structure.replace("+", " + "),
        f"{goal.metric} {sign} {goal.limit:g} {goal.unit}",
        f"{value_beside_limit(goal.value, goal)} {goal.unit}",
        "" if goal.variation is None else f"{sign} {goal.variation:g} {goal.unit}",
        goal.grade.value,
        f"{goal.score:.1f} / {goal.max_score:g}" if goal.max_score else "",
    )


def _prescription(card: Mapping[str, Any]) -> str:
    levels = ", ".join(f"{target['structure']} {target['prescribed_gy']:g} Gy" for target in card["targets"])
    fractions = card["plan"].get("fractions")
    return f"{levels} in {fractions} fractions" if fractions else f"{levels}, fractions unknown"


def _headline(card: Mapping[str, Any]) -> str:
    said = f"{card['goals_met']} of {card['goals_total']} goals met; hottest 0.1 cc {card['hottest_01cc_gy']:.1f} Gy"
    if card.get("max_score"):
        said += f"; plan score {card['score']:.1f} of {card['max_score']:g}"
    check = card["second_check"]
    if check is None or not check["secondary"]:
        return said + "; NO second calculation"
    return said + f"; second calculation {'agrees' if check['agrees'] else 'DOES NOT agree'}"


def _targets(card: Mapping[str, Any]) -> Block:
    rows = tuple(
        (str(t["structure"]), f"{t['paddick_conformity']:.3f}", f"{t['homogeneity']:.3f}") for t in card["targets"]
    )
    return Block("Targets", ("Target", "Conformity (Paddick)", "Homogeneity (ICRU 83)"), rows)


def _delivery(plan: Mapping[str, Any]) -> Block:
    rows = [
        ("Monitor units of a fraction", f"{plan['mu']:.0f}"),
        ("Beams, segments", f"{plan['beams']}, {plan['segments']}"),
        ("Delivery time", duration(plan["delivery_time_s"])),
        ("Modulation complexity score", f"{plan['mcs']:.3f}"),
        ("Machine limits", "all hold" if plan["deliverable"] else "broken: " + "; ".join(plan["violations"])),
    ]
    if plan["mu_per_gy"]:
        rows.insert(1, ("MU per Gy", f"{plan['mu_per_gy']:.0f}"))
    return Block("Delivery", (), tuple(rows))


def _stops(card: Mapping[str, Any]) -> tuple[str, ...]:
    """What an approval has to give a reason for, beside a second calculation that was never made."""
    check = card["second_check"]
    differs = check is not None and check["secondary"] and not check["agrees"]
    said = (f"The second calculation does not agree: {check['sentences'][0]}",) if differs else ()
    return (*(_sentence(item) for item in _told(card) if item["severity"] == "stop"), *said)


def _sentences(card: Mapping[str, Any]) -> tuple[str, ...]:
    """Without those that stop, which stand above."""
    check = card["second_check"]
    found = (_sentence(item) for item in _told(card) if item["severity"] != "stop")
    return (*found, *(check["sentences"][:1] if check else ()), *card["notes"])


def _told(card: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Findings of every part, the gravest first."""
    parts = (card.get(name) or {} for name in ("clinical_notes", "deliverability", "image_context"))
    every = [*card.get("findings", ()), *(item for part in parts for item in part.get("findings", ()))]
    told = [item for item in every if item["outcome"] == "found" or item["id"].startswith("evaluation.")]
    order = ("stop", "warn", "info")
    return sorted(told, key=lambda item: (order.index(item["severity"]), item["id"].startswith("goals.")))


def _sentence(item: Mapping[str, Any]) -> str:
    return f"{item['title']}: {item['evidence']}".replace("<=", "≤").replace(">=", "≥")


def _approval(approval: Approval | None) -> str:
    if approval is None:
        return "Not approved by anybody."
    demo = " (DEMO identity, of no worth)" if approval.is_demo else ""
    reason = f" Approved although: {approval.acknowledged}" if approval.acknowledged else ""
    return f"Approved by {approval.approver} ({approval.role}){demo} at {approval.approved_at}.{reason}"


def _date(dicom: str) -> str:
    """YYYYMMDD as people read it; anything else as it is."""
    return f"{dicom[:4]}-{dicom[4:6]}-{dicom[6:]}" if len(dicom) == 8 and dicom.isdigit() else dicom


def shortened(sentences: Sequence[str], most: int) -> tuple[str, ...]:
    """No more than `most`, and a word on what was left away: the scorecard has all of them."""
    if len(sentences) <= most:
        return tuple(sentences)
    return (*sentences[: most - 1], f"{len(sentences) - most + 1} further remarks are in scorecard.json.")
