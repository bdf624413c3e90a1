"""How the preference commands show a model, its history, a verdict and a watch to people."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Group, RenderableType

from appliance.cli.output import table
from appliance.contracts.preference import PreferenceVerdict
from appliance.evaluation.preference.catalogue import FEATURES
from appliance.evaluation.preference.model import PreferenceModel
from appliance.evaluation.preference.store import Step
from appliance.evaluation.preference.watch import WatchReport


def history_table(steps: Sequence[Step], active: str) -> RenderableType:
    rows = [
        (
            step.time_utc[:19],
            step.event.removeprefix("preference."),
            step.digest[:16] or "no model",
            step.actor,
            step.why,
        )
        for step in steps
    ]
    return Group(
        table("", ("when (UTC)", "what", "model", "who", "why"), rows),
        f"active: {active[:16] or 'no model; nothing is predicted'}",
    )


def candidate_page(digest: str, model: PreferenceModel) -> RenderableType:
    """Its three records, and the clinic's weights with what is known of them."""
    changes = model.changes
    passed = [("passed" if check.passed else "MISSED", check.name, check.sentence) for check in changes.protocol]
    return Group(
        f"model {digest[:16]}, made {model.created_utc} by {model.made_by}",
        table("1. What is modified", ("",), [(sentence,) for sentence in changes.modifications]),
        table("2. How it was tested, on held-out decisions", ("", "criterion", "found"), passed),
        table("3. What it changes", ("",), [(sentence,) for sentence in changes.impact]),
        _weights(model),
        "acceptable" if changes.acceptable else "NOT acceptable: a criterion is missed",
    )


def _weights(model: PreferenceModel) -> RenderableType:
    """Ordered by size. The deviation is of the clinic's mean; the spread is between physicians."""
    covariance = model.clinic.gaussian.covariance
    rows = []
    order = sorted(enumerate(FEATURES, 1), key=lambda entry: -abs(model.clinic_mean[entry[0]]))
    for index, feature in order:
        own = math.sqrt(max(0.0, float(covariance[index, index]) - model.spread[index] ** 2))
        weight, spread = model.clinic_mean[index], model.spread[index]
        rows.append((feature.title, feature.unit, f"{weight:+.2f} ± {own:.2f}", f"{spread:.2f}"))
    return table("Weights of the clinic, logits a unit", ("feature", "unit", "weight", "between physicians"), rows)


def verdict_table(verdict: PreferenceVerdict) -> RenderableType:
    rows = [
        (
            one.title,
            "none" if one.value is None else f"{one.value:.2f}",
            f"{one.typical:.2f}",
            f"{one.contribution:+.2f}",
            f"{one.personal:+.2f}",
        )
        for one in verdict.attributions
        if one.contribution != 0.0
    ]
    if verdict.base_logit is not None:
        rows.insert(0, ("a plan that violates nothing", "", "", f"{verdict.base_logit:+.2f}", ""))
    columns = ("what", "this plan", "typical", "logits", "of it personal")
    shown: list[RenderableType] = [verdict.sentence]
    if rows:
        shown.append(table("", columns, rows))
    return Group(*shown, *(f"note: {warning}" for warning in verdict.warnings))


def watch_table(report: WatchReport) -> RenderableType:
    drift = [
        (
            check.whose,
            str(check.decisions),
            f"{check.level:.1f} of {check.threshold:.1f}",
            check.alarm_at[:10] or "none",
        )
        for check in report.drift
    ]
    groups = [
        (
            f"{check.kind} {check.group}",
            str(check.decisions),
            f"{check.misfit.value:+.2f} ({check.misfit.low:+.2f} to {check.misfit.high:+.2f})",
            "" if check.auc is None else f"{check.auc.value:.2f} ({check.auc.low:.2f} to {check.auc.high:.2f})",
            check.flagged,
        )
        for check in report.groups
    ]
    columns = ("group", "decisions", "approved minus predicted", "AUC", "flagged")
    return Group(
        table("Drift", ("decisions of", "count", "level", "alarm"), drift),
        table("Bias", columns, groups),
        *(f"note: {warning}" for warning in report.warnings),
    )
