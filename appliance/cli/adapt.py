"""`couchside adapt`: the reference in one folder, today's image in another, today's anatomy and plan out."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from appliance.cli.attach import DaysSince, Notes, Prior, PriorFractions
from appliance.cli.headless import Given, plan_into
from appliance.cli.options import AsJson, Budget, ConfigFile, Device, StoreFolder, settings, with_budget, with_device
from appliance.cli.replan import Goals, Navigate, Out, Site, headless, with_goals
from appliance.contracts import PriorStated
from appliance.session_headless import read_pair

Reference = Annotated[
    Path, typer.Argument(metavar="REFERENCE_DIR", help="CT and RTSTRUCT, perhaps RTPLAN and RTDOSE, of the reference.")
]
Today = Annotated[
    Path, typer.Argument(metavar="TODAY_DIR", help="Today's image, perhaps an RTSTRUCT drawn on it and a match.")
]


def adapt(
    reference_dir: Reference,
    today_dir: Today,
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
    """Bring a reference case to today's image and plan on it; the RTPLAN written says UNAPPROVED."""
    chosen = with_budget(with_device(with_goals(settings(config, store), goals, site), device), budget_s)
    stated = PriorStated(prior_fractions, days_since)
    read = partial(read_pair, reference_dir, today_dir, chosen.anatomy.cbct_names)
    given = Given(headless(chosen), read, notes, prior, stated, store, navigate)
    plan_into(out, given, "Adapting", as_json=as_json)
