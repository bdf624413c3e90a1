"""`couchside replan`: a folder of DICOM in, a plan to look at out, without a network."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group

from appliance.approval import IdentityStore
from appliance.audit import AuditLog
from appliance.cli.attach import DaysSince, Notes, Prior, PriorFractions, attached
from appliance.cli.options import AsJson, Budget, ConfigFile, Device, StoreFolder, settings, with_budget, with_device
from appliance.cli.output import progress, result
from appliance.cli.results import BESIDE, copy_results, findings_to_look_at, load, publish, scorecard_table, staged
from appliance.config import Config
from appliance.contracts import PriorStated
from appliance.errors import ConfigError, WriteFailed
from appliance.session_headless import read_case, run_to_review, write_proposal
from appliance.session_navigation import add_trade_offs
from appliance.session_wiring import real_stages
from appliance.session_work import Workplace

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
    with ExitStack() as stack:
        staging = stack.enter_context(staged(out))
        folder = store or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="couchside-")))
        tell = stack.enter_context(progress("Replanning"))
        tell("reading", 0.0)
        received, remarks = read_case(dicom_dir)
        audit = stack.enter_context(AuditLog.open(folder / "audit.sqlite"))
        laid_beside = attached(folder, notes, prior, PriorStated(prior_fractions, days_since))
        stages = real_stages(chosen, IdentityStore(folder / "identities"), laid_beside)
        session = run_to_review(received, remarks, stages, Workplace(audit, folder.absolute(), tell))
        if navigate:
            add_trade_offs(session, tell)
        tell("writing", 1.0)
        written = write_proposal(session, staging)
        copy_results(session, staging)
        files = [path.name for path in written.files] + [name for name in BESIDE if (staging / name).exists()]
        publish(staging, out)
        summary = session.standing.summary()
    document = {
        "out": str(out),
        "session": summary,
        "approved": False,
        "files": files,
        "scorecard": load(out / "scorecard.json"),
        "timeline": load(out / "timeline.json"),
    }
    told = summary["notes"] if isinstance(summary["notes"], list) else []
    lines = [*findings_to_look_at(load(out / "scorecard.json")), *(f"- {text}" for text in told)]
    lines.append(f"UNAPPROVED plan, dose and structures are in {out}; open {out / 'report.html'}")
    result(document, Group(scorecard_table(out), *lines), as_json=as_json)


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
