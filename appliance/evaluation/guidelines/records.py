"""The three records of a change, written for people (Markdown) and for machines (JSON).

They follow the three parts of a predetermined change control plan: FDA, "Marketing Submission Recommendations for a
Predetermined Change Control Plan for Artificial Intelligence-Enabled Device Software Functions", final guidance of
December 2024, reissued August 2025: description of modifications, modification protocol (data management, re-training,
performance evaluation, update procedures), impact assessment. Couchside is no authorised device; the records keep its
changes in the form that such a plan asks for.
"""

from __future__ import annotations

import hashlib
import json
import textwrap
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import JsonValue

from appliance.dicomio.files import write_durable
from appliance.evaluation.guidelines.diff import Change
from appliance.evaluation.guidelines.impact import Impact
from appliance.evaluation.guidelines.package import Package

GUIDANCE = (
    "In the form of FDA's final guidance on predetermined change control plans (December 2024, reissued August 2025). "
    "Research software, not for clinical use."
)
Document = dict[str, JsonValue]


@dataclass(frozen=True)
class Event:
    """What is happening: 'install', 'activate' or 'rollback'; by whom and when (ISO 8601 UTC)."""

    kind: str
    by: str
    at: str
    reason: str = ""


def change_records(
    event: Event, old: Package | None, new: Package, changes: tuple[Change, ...], impact: Impact
) -> dict[str, bytes]:
    """File name → content of the six files."""
    head: Document = {
        "schema": "couchside.change-record/1",
        "event": event.kind,
        "by": event.by,
        "at": event.at,
        "reason": event.reason,
        "package": new.manifest.name,
        "version_before": "" if old is None else old.manifest.version,
        "digest_before": "" if old is None else old.digest,
        "version_after": new.manifest.version,
        "digest_after": new.digest,
        "signer": new.signer,
    }
    bodies = {
        "description-of-modifications": _description(old, new, changes),
        "modification-protocol": _protocol(new, impact),
        "impact-assessment": _assessment(changes, impact),
    }
    written: dict[str, bytes] = {}
    for name, body in bodies.items():
        document = {**head, "record": name, **body}
        written[f"{name}.json"] = json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"
        written[f"{name}.md"] = _markdown(name.replace("-", " ").capitalize(), document).encode()
    return written


def records_digest(records: dict[str, bytes]) -> str:
    """SHA-256 over `HASH  NAME` lines, as `sha256sum` writes them, sorted by name."""
    lines = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(records.items())]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def write_records(records: dict[str, bytes], folder: Path) -> None:
    """Whole and durable. Raises WriteFailed or DiskFull."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, data in records.items():
        write_durable(data, folder / name)


def _description(old: Package | None, new: Package, changes: tuple[Change, ...]) -> Document:
    covers = new.manifest.fractionation
    return {
        "what_changes": [
            change.text if not change.goal_set else f"{change.goal_set}: {change.text}" for change in changes
        ],
        "changes": [asdict(change) for change in changes],
        "why": list(new.manifest.changes),
        "sites": list(new.manifest.sites),
        "fractionation": "as prescribed in each goal file"
        if covers is None
        else _covers(covers.fraction_gy, covers.fractions),
        "valid": new.manifest.validity,
        "intended_use": "Unchanged: plans are judged against named limits and shown to a physician, who decides",
        "how_it_is_made": "By hand: a named person activates the version; nothing activates itself",
        "replaces": "nothing" if old is None else f"{old.manifest.name} {old.manifest.version}",
    }


def _covers(fraction_gy: tuple[float, float], fractions: tuple[int, ...]) -> str:
    counts = ", ".join(str(count) for count in fractions) or "any number of"
    return f"{fraction_gy[0]:g} to {fraction_gy[1]:g} Gy in {counts} fractions"


def _protocol(new: Package, impact: Impact) -> Document:
    goals = sum(len(one.goals) + len(one.target_goals) for one in new.goal_sets)
    return {
        "data_management": [
            f"Stored plans that were judged with the guideline: {len(impact.plans)}; they stay where they are",
            "Sessions: " + (", ".join(plan.session for plan in impact.plans) or "none"),
            *impact.left_out,
        ],
        "re_training": ["None: a guideline is a set of rules. No learned part of Couchside is changed by it"],
        "performance_evaluation": [
            f"Signed by {new.signer}, a key trusted here; every file as it was signed (digest {new.digest})",
            f"{goals} goals in {len(new.goal_sets)} goal sets: each with its source, a known metric and a possible "
            "limit; no two contradict each other",
            "Each goal set states the prescription or the fractionation that it is for; it is refused for another",
            impact.method,
        ],
        "update_procedures": [
            "Activated by a named person with 'couchside guidelines activate'; signed with that person's key",
            "Every session names package, version and digest in its record, its report and the audit log",
            "Taken back with 'couchside guidelines rollback'; sessions in review keep the goals that they began with",
            f"Valid {new.manifest.validity}; afterwards it is refused until another version is activated",
        ],
    }


def _assessment(changes: tuple[Change, ...], impact: Impact) -> Document:
    stricter = sum(change.stricter is True for change in changes)
    easier = sum(change.stricter is False for change in changes)
    gone = sum(change.kind == "removed" and change.stricter is None for change in changes)
    risks = {
        f"Goals gone or easier to meet: {easier}; a plan may now pass that failed before": easier,
        f"Goals new or harder to meet: {stricter}; where goals conflict, targets may be covered less": stricter,
        f"Goal sets gone: {gone}; a case that only they fitted is refused until another fits": gone,
    }
    return {
        "summary": impact.sentence,
        "plans_compared": len(impact.plans),
        "plans_judged_otherwise": impact.flipped,
        "plans": [asdict(plan) for plan in impact.plans],
        "plans_in_words": [_plan_words(plan.session, plan.refused, [
            f"{flip.goal}: {flip.before} → {flip.after} at {flip.value:.2f} {flip.unit}" for flip in plan.flips
        ]) for plan in impact.plans],
        "goals_harder_to_meet": stricter,
        "goals_easier_to_meet": easier,
        "benefits": [f"Goals new or harder to meet: {stricter}; organs are protected by more"] if stricter else [],
        "risks": [risk for risk, count in risks.items() if count],
        "mitigation": [
            "A physician sees each goal with value, limit and source and approves each plan; no score does",
            "The version can be rolled back at once; plans already approved are not changed",
        ],
    }  # fmt: skip


def _plan_words(session: str, refused: str, flips: list[str]) -> str:
    return f"{session}: {refused or '; '.join(flips) or 'judged as before'}"


def _markdown(title: str, document: Document) -> str:
    """Every entry of the JSON but the parts that only machines want."""
    hidden = ("schema", "record", "changes", "plans")
    shown = {key: value for key, value in document.items() if key not in hidden and value not in ("", [])}
    lines = [f"# {title}", "", *textwrap.wrap(GUIDANCE, 120), ""]
    lines += [f"- {_name(key)}: {value}" for key, value in shown.items() if not isinstance(value, list)]
    for key, value in shown.items():
        if isinstance(value, list):
            lines += ["", f"## {_name(key).capitalize()}", "", *(f"- {entry}" for entry in value)]
    return "\n".join(lines) + "\n"


def _name(key: str) -> str:
    return {"re_training": "re-training"}.get(key, key.replace("_", " "))
