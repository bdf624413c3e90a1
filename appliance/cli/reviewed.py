"""A planned case as the commands that question it find it: a session of the store, or the folder of `demo` or
`replan` together with the folder it was planned from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from appliance.audit import AuditLog
from appliance.case import assemble, read_dose, read_plan_file
from appliance.config import Config
from appliance.contracts import CalculatedDose
from appliance.errors import IncompleteCase, InconsistentCase, SessionError
from appliance.evaluation import goals_for_case, load_goal_set
from appliance.session import next_state
from appliance.session_artefacts import Artefacts
from appliance.session_headless import read_case
from appliance.session_record import replay
from appliance.session_revising import revised_goals
from appliance.session_stages import Reviewed
from appliance.session_work import prescribed

Asked = Annotated[
    str,
    typer.Argument(metavar="SESSION_OR_DIR", help="A session of the store, or the folder of a replan or demo."),
]
FromFolder = Annotated[
    Path | None,
    typer.Option("--ct", metavar="DIR", help="For a folder: the DICOM folder it was planned from."),
]
OutFolder = Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Where JSON and an HTML page go.")]


def reviewed(asked: str, folder: Path | None, config: Config) -> Reviewed:
    """Raises SessionError for a session that has no plan, RefusedInput for folders that do not belong together,
    ArtefactAltered."""
    return _of_folder(Path(asked), folder) if Path(asked).is_dir() else _of_session(asked, config.node.store)


def session_files(session: str, store: Path) -> tuple[str, Artefacts]:
    """A session's state and what it left. Raises SessionError where there is none of that name, AuditError."""
    standing = replay(AuditLog.read_only(store / "audit.sqlite").rows(), next_state).get(session)
    if standing is None:
        raise SessionError(f"There is no session '{session}', and no folder of that name")
    return standing.state, Artefacts(store / "sessions" / session, store, lambda: standing.artefacts)


def _of_session(session: str, store: Path) -> Reviewed:
    state, files = session_files(session, store)
    if not (files.has("plan.json") and files.has("dose.npz")):
        raise SessionError(f"The session '{session}' has no plan; it is '{state}'")
    files.load("goals.toml")
    case = assemble(files.received())
    goal_set = revised_goals(files) or goals_for_case(load_goal_set(files.folder / "goals.toml"), case)
    return Reviewed(prescribed(case, goal_set), goal_set, files.plan(), files.dose(), story=files.story())


def _of_folder(out: Path, folder: Path | None) -> Reviewed:
    if folder is None:
        raise IncompleteCase(f"{out} holds no image", remedy="Name the DICOM folder it was planned from with --ct")
    missing = [name for name in ("RP.dcm", "RD.dcm", "goals.toml") if not (out / name).is_file()]
    if missing:
        raise IncompleteCase(f"{out} has no {', '.join(missing)}", remedy="Name the folder of a replan or demo")
    received, _ = read_case(folder)
    case, reading = assemble(received), read_plan_file(out / "RP.dcm")
    if reading.frame_of_reference_uid != case.frame_of_reference_uid:
        raise InconsistentCase(
            "plan and image have different frames of reference",
            what=f"{out} with {folder}",
            remedy="Name the DICOM folder this plan was made from with --ct",
            rule="frame-of-reference",
        )
    goal_set = goals_for_case(load_goal_set(out / "goals.toml"), case)
    grid, dose_gy = read_dose(out / "RD.dcm")
    dose = CalculatedDose(grid, dose_gy, reading.plan.digest, "as written", "as written")
    return Reviewed(prescribed(case, goal_set), goal_set, reading.plan, dose)
