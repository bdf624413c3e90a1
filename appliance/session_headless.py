"""A session without a network: a folder of DICOM files in, the same stages, and nothing sent."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from appliance.contracts import ExportSet, Received
from appliance.errors import AnatomyNotConfirmed, IncompleteCase, SessionError
from appliance.inbound import Completeness, assess, assess_pair, scan_folder, scan_folders
from appliance.session import Event, Session, State, next_state
from appliance.session_stages import Stages
from appliance.session_work import Workplace


def read_case(folder: Path) -> tuple[tuple[Received, ...], tuple[str, ...]]:
    """The objects in `folder` that make today's case, and notes on what was left aside. Raises RefusedInput."""
    found = read_set(folder)
    return found.chosen, found.notes


def read_set(folder: Path, imagers: Sequence[str] = ()) -> Completeness:
    """As `read_case`, with the objects of the plan's own day where they lie in the folder too. imagers: the
    configuration's `anatomy.cbct_names`."""
    contents = scan_folder(folder, imagers=imagers)
    return _whole(assess(contents.received), contents.notes, folder.name)


def read_pair(reference: Path, today: Path, imagers: Sequence[str] = ()) -> Completeness:
    """The objects of the reference's folder and of today's that make today's case. imagers: as for `read_set`. Raises
    RefusedInput."""
    before, now = scan_folders(reference, today, imagers=imagers)
    found = assess_pair(before.received, now.received)
    return _whole(found, (*before.notes, *now.notes), f"{reference.name} or {today.name}")


def _whole(found: Completeness, passed: Sequence[str], place: str) -> Completeness:
    aside = len(passed)
    if not found.complete:
        # A file cut off within its header is no DICOM object any more: it may be what is missing.
        named = f" (files passed over: {aside}, such as {passed[0]})" if aside else ""
        remedy = f"Put what is missing into {place} and run the command again"
        raise IncompleteCase(found.missing + named, remedy=remedy)
    note = (f"Files of the folder passed over, because they are no DICOM objects or copies: {aside}",) if aside else ()
    return replace(found, notes=(*found.notes, *note))


def run_to_review(found: Completeness, stages: Stages, workplace: Workplace) -> Session:
    """Runs a new session until it is in review. Raises the error that it failed with, AnatomyNotConfirmed where today's
    anatomy needs a person's look first: here is none."""
    now = datetime.now(UTC)
    objects = (*found.chosen, *found.reference)
    session = Session.open(f"{now:%Y%m%d}-{secrets.token_hex(4)}", objects[0].patient_key, stages, workplace)
    digest = hashlib.sha256("".join(sorted(item.sha256 for item in objects)).encode()).hexdigest()
    facts = {"last_object_utc": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "set_digest": digest}
    session.receive(found.chosen, dict(facts), found.notes, found.reference)
    session.run()
    if session.error is not None:
        raise session.error
    if session.state is State.CONTOUR_REVIEW:
        raise AnatomyNotConfirmed(str(session.standing.facts.get("to_confirm", "")))
    if session.state is not State.IN_REVIEW:
        raise SessionError(f"The session ended as '{session.state}'")
    return session


def write_proposal(session: Session, folder: Path) -> ExportSet:
    """Plan, dose and structures of a session in review, marked UNAPPROVED, written to `folder` and read back; beside
    them the second dose and the evaluation for the record.

    No approval is made up: the set cannot be sent. Raises IllegalTransition if the session is not in review."""
    next_state(session.state, Event.APPROVE)
    case, _ = session.case()
    plan, dose = session.files.plan(), session.files.dose()
    export_set = session.stages.write_proposal(case, plan, dose, folder)
    session.stages.read_back(export_set, case, plan, dose)
    session.stages.write_record(case, plan, session.files.evaluation(), None, export_set)
    if (second := session.files.second_dose()) is not None:
        session.stages.write_second_dose(case, second, export_set)
    return export_set
