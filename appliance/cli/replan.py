"""`couchside replan`: a folder of DICOM in, a plan to look at out, without a network."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from appliance.cli.attach import DaysSince, Notes, Prior, PriorFractions
from appliance.cli.headless import Given, plan_into
from appliance.cli.options import AsJson, Budget, ConfigFile, Device, StoreFolder, settings, with_budget, with_device
from appliance.config import Config
from appliance.contracts import PriorStated
from appliance.errors import ConfigError, WriteFailed
from appliance.session_headless import read_set

Folder = Annotated[Path, typer.Argument(metavar="DICOM_DIR", help="CT and RTSTRUCT, perhaps RTPLAN and RTDOSE.")]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the results go.")]
Goals = Annotated[Path | None, typer.Option("--goals", metavar="FILE", help="Goal file (TOML) to plan for.")]
Site = Annotated[str, typer.Option("--site", metavar="SITE", help="Shipped goals: head-neck, prostate, c-shape, …")]

Navigate = Annotated[
    bool, typer.Option("--navigate", help="Also make the plans around it that 'couchside navigate' moves between.")
]


def replan(
    dicom_dir: Folder,
    out: Out,
    goals: Goals = None,
    site: Site = "",
    notes: Notes = None,
    prior: Prior = None,
    prior_fractions: PriorFractions = 0,
    days_since: DaysSince = None,
    budget_s: Budget = None,
    navigate: Navigate = False,
    device: Device = None,
    config: ConfigFile = None,
    store: StoreFolder = None,
    as_json: AsJson = False,
) -> None:
    """Plan a folder's case; the RTPLAN written says UNAPPROVED, because nobody has approved it."""
    chosen = with_budget(with_device(with_goals(settings(config, store), goals, site), device), budget_s)
    stated = PriorStated(prior_fractions, days_since)
    read = partial(read_set, dicom_dir, chosen.anatomy.cbct_names)
    given = Given(headless(chosen), read, notes, prior, stated, store, navigate)
    plan_into(out, given, "Replanning", as_json=as_json)


def headless(config: Config) -> Config:
    """Nobody is there to confirm contours that give no reason for a look, and nothing is approved."""
    return config.model_copy(update={"anatomy": config.anatomy.model_copy(update={"review": "never"})})


def with_goals(config: Config, goals: Path | None, site: str) -> Config:
    """Raises ConfigError if both are given."""
    if goals is not None and site:
        raise ConfigError("--goals and --site say two different things; give one of them")
    update = {"goals": goals} if goals is not None else {"site": site, "goals": None} if site else {}
    return config.model_copy(update={"planning": config.planning.model_copy(update=update)})


def make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteFailed(f"{out} ({error.strerror})") from error
