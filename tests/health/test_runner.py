"""A check never raises and never hangs the doctor."""

from __future__ import annotations

import time

from appliance.config import Config
from appliance.errors import ModelError
from appliance.health import CHECKS, Check, CheckResult, Status, run_checks
from appliance.health.result import Finding


def raises_ours(_: Config) -> Finding:
    raise ModelError("the beam model is gone")


def raises_anything(_: Config) -> Finding:
    raise ZeroDivisionError("division by zero")


def hangs(_: Config) -> Finding:
    time.sleep(30)
    return Finding(Status.OK, "late")


def works(_: Config) -> Finding:
    return Finding(Status.DEGRADED, "so so", {"figure": 1})


def test_each_check_gives_one_result_in_order() -> None:
    checks = [
        Check("a", "A", raises_ours),
        Check("b", "B", raises_anything),
        Check("c", "C", hangs, timeout_s=0.2),
        Check("d", "D", works),
    ]
    start = time.monotonic()
    results = run_checks(Config(), checks=checks)
    assert time.monotonic() - start < 5
    assert [(r.key, r.title, r.status) for r in results] == [
        ("a", "A", Status.FAILED),
        ("b", "B", Status.FAILED),
        ("c", "C", Status.FAILED),
        ("d", "D", Status.DEGRADED),
    ]
    assert results[0].sentence == ModelError("the beam model is gone").sentence
    assert "division by zero" in results[1].sentence
    assert "0.2 s" in results[2].sentence
    assert results[3] == CheckResult("d", "D", Status.DEGRADED, "so so", {"figure": 1})


def test_statuses_are_ordered_from_good_to_bad() -> None:
    assert sorted(Status, key=lambda status: status.rank) == [Status.OK, Status.DEGRADED, Status.FAILED]


def test_every_part_the_command_promises_has_its_check() -> None:
    assert [check.key for check in CHECKS] == [
        "hardware",
        "backends",
        "models",
        "disk",
        "clock",
        "store",
        "peers",
        "retrieval",
    ]
    assert all(check.run.__module__ == f"appliance.health.{check.key}" for check in CHECKS)
