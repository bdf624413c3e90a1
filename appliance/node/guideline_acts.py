"""Guideline acts as messages: what the command line does itself where no node runs, and asks the node for where one
does, because one process writes the audit log."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from appliance.errors import NodeError
from appliance.evaluation.guidelines.words import change_lines
from appliance.node.wire import Message
from appliance.session_guidelines import Done, GuidelineDesk


def perform(desk: GuidelineDesk, request: Message, actor: str) -> Message:
    """`act`: install (path), activate (name, version), rollback (name) or trust (path); the last three with person,
    passphrase and reason. The answer holds what was done as data and as `lines` for people.

    Raises RefusedPackage, ApprovalError, WriteFailed, AuditError; NodeError for an act that is none.
    """
    act, path = request.get("act"), Path(_text(request, "path"))
    name, reason = _text(request, "name"), _text(request, "reason")
    person, passphrase = _text(request, "person"), _text(request, "passphrase")
    if act == "install":
        return _answer(desk.install(path, actor), "is installed, not active")
    if act == "activate":
        done = desk.activate(name, _text(request, "version"), person, passphrase, reason)
        return _answer(done, f"is active, by decision of {person}")
    if act == "rollback":
        return _answer(desk.rollback(name, person, passphrase, reason), f"is active again, by decision of {person}")
    if act == "trust":
        signer = desk.trust(path, person, passphrase, reason)
        return {"signer": signer, "by": person, "lines": [f"Packages signed by {signer} may be installed now"]}
    raise NodeError("it was asked for something it does not know; use the couchside command of this release")


def _answer(done: Done, what: str) -> Message:
    manifest = done.package.manifest
    head = f"{manifest.name} {manifest.version} {what} (signed by {done.package.signer})"
    document = {
        "package": manifest.name,
        "version": manifest.version,
        "digest": done.package.digest,
        "signer": done.package.signer,
        "changes": [asdict(one) for one in done.changes],
        "impact": {"summary": done.impact.sentence, **asdict(done.impact)},
        "records": str(done.records),
        "lines": [head, *change_lines(done.changes, done.impact), f"Records: {done.records}"],
    }
    plain: Message = json.loads(json.dumps(document))
    return plain


def _text(request: Message, key: str) -> str:
    value = request.get(key, "")
    return value if isinstance(value, str) else ""
