"""Guideline packages as lines and documents."""

from __future__ import annotations

from dataclasses import asdict

from appliance.contracts import ClinicalGoal, GoalSet
from appliance.evaluation.guidelines.package import Package


def package_document(package: Package, active: str, expired: str) -> dict[str, object]:
    manifest = package.manifest
    covers = manifest.fractionation
    return {
        "name": manifest.name,
        "version": manifest.version,
        "title": manifest.title,
        "author": manifest.author,
        "signer": package.signer,
        "digest": package.digest,
        "sites": list(manifest.sites),
        "goal_sets": [one.name for one in package.goal_sets],
        "fractionation": None if covers is None else covers.model_dump(),
        "valid_from": str(manifest.valid_from),
        "valid_until": None if manifest.valid_until is None else str(manifest.valid_until),
        "changes": list(manifest.changes),
        "active": active,
        "not_valid": expired,
    }


def package_row(package: Package, active: str, expired: str) -> tuple[str, ...]:
    manifest = package.manifest
    valid = f"NO: {expired}" if expired else manifest.validity
    return manifest.name, manifest.version, manifest.title, package.signer, active or "no", valid


def document_of(goal_set: GoalSet) -> dict[str, object]:
    """The contract as plain JSON, metrics as text."""
    document = asdict(goal_set)
    for key in ("goals", "target_goals"):
        document[key] = [asdict(goal) | {"metric": goal.measure} for goal in getattr(goal_set, key)]
    return document


def goal_rows(package: Package) -> list[tuple[str, ...]]:
    return [
        (
            goal_set.name,
            str(goal),
            _variation(goal),
            goal.endpoint,
            goal.source + (f" · {goal.doi}" if goal.doi else ""),
        )
        for goal_set in package.goal_sets
        for goal in (*goal_set.target_goals, *goal_set.goals)
    ]


def _variation(goal: ClinicalGoal) -> str:
    return "" if goal.variation is None else f"{goal.comparator} {goal.variation:g} {goal.unit}"
