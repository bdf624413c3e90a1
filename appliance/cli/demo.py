"""`couchside demo`: a whole adaptive session on a built-in case, over real DICOM associations on loopback."""

from __future__ import annotations

import secrets
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from pydantic import JsonValue
from rich.console import Group

from appliance.approval import IdentityStore
from appliance.audit import export as export_audit
from appliance.cli.demo_case import prepare
from appliance.cli.demo_peer import AE_TITLE, ReceivingPeer, push, same_objects
from appliance.cli.options import AsJson, ConfigFile, Device, settings, with_device
from appliance.cli.output import progress, result
from appliance.cli.replan import make_folder
from appliance.cli.results import copy_beside, copy_results, load, scorecard_table
from appliance.config import Config, NodeConfig, PeerConfig
from appliance.contracts.progress import Progress
from appliance.errors import AuditError, ExportError, SessionError
from appliance.node import Node, ask
from appliance.session import ENDED, State
from appliance.session_models import verify_models
from appliance.session_wiring import real_stages

IDENTITY = "DEMO identity"
ACKNOWLEDGED = "A demonstration, for no patient: what was found is in the report"
LOOK_EVERY_S = 0.1
PEER_S = 30.0

CaseName = Annotated[str, typer.Option("--case", metavar="NAME", help="A built-in case; 'couchside cases' lists them.")]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Where the results go; by default demo-out/NAME.")
]


def demo(
    case: CaseName = "c-shape",
    out: Out = None,
    device: Device = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Run a whole adaptive session on a built-in case, with real DICOM over loopback."""
    folder = out or Path("demo-out") / case
    chosen = with_device(settings(config), device)
    make_folder(folder)
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="couchside-demo-")))
        tell = stack.enter_context(progress("Demo"))
        began = time.monotonic()
        files = prepare(case, work / "study", chosen, tell)
        prepared_s = time.monotonic() - began
        peer = ReceivingPeer(folder)
        stack.callback(peer.stop)
        summary = _run(_configured(chosen, work / "store", peer.port), files, peer, folder, tell)
    document = {
        "case": case,
        "out": str(folder),
        "not_for_clinical_use": True,
        "approved_by": IDENTITY,
        "preparation_s": round(prepared_s, 3),
        **summary,
        "scorecard": load(folder / "scorecard.json"),
        "scheduled_scorecard": load(folder / "scheduled-scorecard.json"),
        "timeline": load(folder / "timeline.json"),
    }
    result(document, Group(scorecard_table(folder), *_closing(document, folder)), as_json=as_json)


def _configured(config: Config, store: Path, peer_port: int) -> Config:
    """On loopback with free ports and its own store. It settles sooner, because the one sender is ours."""
    node = NodeConfig(port=0, store=store, settle_s=0.5, minimum_free_mb=64)
    peer = PeerConfig(ae_title=AE_TITLE, port=peer_port)
    return Config(node=node, peer=peer, anatomy=config.anatomy, planning=config.planning, evaluation=config.evaluation)


def _run(
    config: Config, files: tuple[Path, ...], peer: ReceivingPeer, out: Path, tell: Progress
) -> dict[str, JsonValue]:
    """From the first object sent to the last one received back. Raises what the session failed with."""
    store = config.node.store
    passphrase = secrets.token_urlsafe(24)
    IdentityStore(store / "identities").create(IDENTITY, "demo", passphrase, demo=True)
    verify_models(config)
    node = Node(config, real_stages)
    node.start()
    try:
        push(files, node.port, config.node.ae_title, tell)
        session = _wait_for(node, State.CONTOUR_REVIEW, tell)
        confirm: dict[str, JsonValue] = {"command": "confirm-contours", "session": session, "identity": IDENTITY}
        ask(store, confirm | {"passphrase": passphrase, "reason": ACKNOWLEDGED})
        session = _wait_for(node, State.IN_REVIEW, tell)
        facts = node.session(session).standing.facts
        agrees, asked = facts.get("second_check_agrees") is True, bool(facts.get("to_acknowledge"))
        request: dict[str, JsonValue] = {"command": "approve", "session": session, "identity": IDENTITY}
        ask(store, request | {"passphrase": passphrase, "acknowledge": ACKNOWLEDGED if asked else ""})
        _wait_for(node, State.EXPORTED, tell)
        if not peer.wait_for_all(PEER_S):
            raise ExportError("the demo's own peer did not get all objects")
        done = node.session(session)
        sent = done.files.export_set().files
        copy_results(done, out)
        copy_beside(done, out)
    finally:
        node.stop()
    verification = export_audit(store / "audit.sqlite", out / "audit.jsonl")
    if not verification.ok:
        raise AuditError(verification.reason)
    if not same_objects(sent, out):
        raise ExportError("the objects that arrived at the demo's peer differ from those that were sent")
    second: dict[str, JsonValue] = {
        "second_check_agrees": agrees,
        "second_check": str(done.standing.facts.get("second_check", "")),
    }
    whole: dict[str, JsonValue] = {"arrived_as_sent": True, "audit_rows": verification.rows, "audit_whole": True}
    return {"session": session, **whole, **second}


def _wait_for(node: Node, wanted: State, tell: Progress) -> str:
    """The demo's newest session, once it is there (an older one is superseded where the machine is so slow that the
    objects come in two parts). Raises SessionError in the session's own words if it ends elsewhere."""
    while True:
        listed = node.status()["sessions"]
        entry = listed[-1] if isinstance(listed, list) and listed else {}
        described = entry if isinstance(entry, dict) else {}
        if described.get("state") == wanted:
            return str(described["session"])
        if described.get("state") in (*ENDED, State.FAILED) or (wanted is State.EXPORTED and described.get("why")):
            raise SessionError(str(described.get("why")))
        if node.failure is not None:
            raise node.failure
        done = described.get("step_done", 0.0)
        tell(str(described.get("step") or described.get("state", "waiting")), float(str(done)))
        time.sleep(LOOK_EVERY_S)


def _closing(document: dict[str, JsonValue], folder: Path) -> list[str]:
    timeline = document["timeline"]
    seconds = timeline.get("last_object_to_export_s") if isinstance(timeline, dict) else None
    return [
        f"Preparation (reference plan): {document['preparation_s']} s. "
        f"From the last object received to the exported plan: {seconds} s.",
        "RTPLAN, RTDOSE and RTSTRUCT arrived over DICOM exactly as sent; the audit log is whole.",
        f"Second check: {document['second_check']}."
        + (
            ""
            if document["second_check_agrees"]
            else " The demo acknowledged this to go on; a person would look first."
        ),
        f"Approved by the {IDENTITY}, which stands for nobody. Not for clinical use.",
        f"Report: {folder / 'report.html'}",
    ]
