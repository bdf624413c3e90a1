"""Runs the self-checks one after the other, so that none disturbs what another measures, each with a time limit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from appliance.config import Config
from appliance.errors import CouchsideError
from appliance.health import backends, clock, disk, hardware, models, peers, retrieval, store
from appliance.health.result import Check, CheckResult, Finding, Status

CHECKS: tuple[Check, ...] = (
    Check("hardware", "Hardware", hardware.check),
    Check("backends", "Compute backends", backends.check, timeout_s=20.0),
    Check("models", "Models and machine files", models.check, timeout_s=30.0),
    Check("disk", "Disk", disk.check, timeout_s=30.0),
    Check("clock", "Clock", clock.check),
    Check("store", "Store and audit log", store.check, timeout_s=120.0),
    Check("peers", "DICOM peer", peers.check, timeout_s=15.0),
    Check("retrieval", "Search of guidelines", retrieval.check),
)
"""Time limits chosen: some ten times what each needs on two cores; the store's allows for an audit log of 10^7 rows."""


def run_checks(
    config: Config,
    *,
    readers: Mapping[str, models.Reader] | None = None,
    together: Callable[[], None] = models.unknown,
    checks: Sequence[Check] = CHECKS,
) -> tuple[CheckResult, ...]:
    """One result a check, in order; never raises. `readers`: the loaders of the stages by folder of models/ (machines,
    density, guidelines), handed in by the caller because health and the stages do not import each other; without
    them those files are only parsed. `together`: raises if the configured machine, technique and beam model do not
    fit each other."""
    bound = partial(models.check, readers=readers or {}, together=together)
    return tuple(
        _run(Check(c.key, c.title, bound, c.timeout_s) if c.run is models.check else c, config) for c in checks
    )


def _run(check: Check, config: Config) -> CheckResult:
    """The check in a thread of its own that is abandoned if it hangs; it cannot keep the process from ending."""
    outcome: list[Finding] = []
    thread = threading.Thread(target=lambda: outcome.append(_guarded(check, config)), name=check.key, daemon=True)
    thread.start()
    thread.join(check.timeout_s)
    finding = (
        outcome[0]
        if outcome
        else Finding(
            Status.FAILED,
            f"The check did not end within {check.timeout_s:g} s; look for a hanging disk, driver or network mount.",
        )
    )
    return CheckResult(check.key, check.title, finding.status, finding.sentence, finding.detail)


def _guarded(check: Check, config: Config) -> Finding:
    try:
        return check.run(config)
    except CouchsideError as error:
        return Finding(Status.FAILED, error.sentence, {"error": error.key})
    except Exception as error:  # noqa: BLE001 - the top-level guard of every check: a broken check is a failed one
        return Finding(Status.FAILED, f"The check itself broke: {error}", {"error": type(error).__name__})
