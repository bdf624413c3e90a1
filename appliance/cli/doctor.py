"""`couchside doctor`: the machine, models and networks, disk, clock, store, peer, and what plans are judged with."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path

import typer

from appliance.cli.options import AsJson, ConfigFile, StoreFolder, settings
from appliance.cli.output import progress, result, table
from appliance.config import Config
from appliance.evaluation import list_goal_sets, load_goal_set
from appliance.health import CHECKS, Status, run_checks
from appliance.planning import check_configured, load_density, load_machine
from appliance.session_health import EVALUATION_CHECKS
from appliance.session_models import NETWORK_CHECK

FAILED_CHECK = 1


def _together(configured: Config) -> None:
    """Machine, technique and beam model that the configuration names must fit. Raises CouchsideError."""
    check_configured(configured.planning)


def _signed_goal_set(path: Path) -> object:
    """Reads a shipped goal file; with the first one every package's signature is checked. Raises RefusedInput."""
    list_goal_sets()
    return load_goal_set(path)


def doctor(config: ConfigFile = None, store: StoreFolder = None, as_json: AsJson = False) -> None:
    """Check this machine; the exit code is 1 if something must be repaired before use."""
    with progress("Checking") as tell:
        tell("this machine", 0.0)
        readers = {
            "guidelines": _signed_goal_set,
            "machines": lambda path: load_machine(path.stem),
            "density": lambda path: load_density(path.stem),
        }
        configured = settings(config, store)
        together = partial(_together, configured)
        checks = (*CHECKS, NETWORK_CHECK, *EVALUATION_CHECKS)
        found = run_checks(configured, readers=readers, together=together, checks=checks)
    worst = max((check.status for check in found), key=lambda status: status.rank)
    rows = [(check.title, check.status.value, check.sentence) for check in found]
    document = {"status": worst.value, "checks": [asdict(check) for check in found]}
    result(document, table("", ("check", "status", "what it found"), rows), as_json=as_json)
    if worst is Status.FAILED:
        raise typer.Exit(FAILED_CHECK)
