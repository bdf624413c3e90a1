"""`couchside preference fit | show | explain | check | activate | rollback`: what the clinic's decisions teach."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from pydantic import JsonValue

from appliance.approval import IdentityStore
from appliance.audit import AuditLog
from appliance.cli.approve import FromStdin, read_passphrase
from appliance.cli.options import AsJson, ConfigFile, SessionId, StoreFolder, settings
from appliance.cli.output import note, result
from appliance.cli.preference_pages import candidate_page, history_table, verdict_table, watch_table
from appliance.errors import AuditError, CouchsideError, PreferenceRefused, SessionError
from appliance.evaluation.preference import fit_model, updated
from appliance.evaluation.preference.decisions import features_of
from appliance.evaluation.preference.store import PreferenceStore
from appliance.session import next_state
from appliance.session_artefacts import Artefacts
from appliance.session_decisions import Collected, examples_from_sessions, verify_preference
from appliance.session_record import replay

app = typer.Typer(help="Learn from decisions whether a physician would approve a plan.", no_args_is_help=True)

Person = Annotated[
    list[str] | None,
    typer.Option(
        "--person", metavar="USER=NAME", help="Who a user of the log is: 'uid 1000=Dr A'; 'uid 1000=' leaves it out."
    ),
]
Update = Annotated[
    bool, typer.Option("--update", help="Only add the new decisions to the active model, instead of fitting anew.")
]
Digest = Annotated[str, typer.Argument(metavar="DIGEST", help="A candidate, by the first digits of its digest.")]
OneDigest = Annotated[str, typer.Argument(metavar="[DIGEST]", help="Show this model with its records.")]
Physician = Annotated[
    str, typer.Option("--physician", metavar="NAME", help="For whom; without it, for somebody new to the clinic.")
]
Identity = Annotated[str, typer.Option("--identity", metavar="NAME", help="The registered person who answers for it.")]
Despite = Annotated[
    str, typer.Option("--despite", metavar="REASON", help="Why it is activated although a criterion is missed.")
]
Why = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the log.")]

ACTOR = "command line"


def _store(config: Path | None, store: Path | None) -> tuple[Path, PreferenceStore]:
    folder = settings(config, store).node.store
    return folder, PreferenceStore(folder / "preference")


@app.command("fit")
def fit(
    person: Person = None,
    update: Update = False,
    config: ConfigFile = None,
    store: StoreFolder = None,
    as_json: AsJson = False,
) -> None:
    """Collect the decisions of past sessions and make a candidate of them; it decides nothing until it is activated."""
    folder, kept = _store(config, store)
    collected = _collect(folder, kept, person or [], strict=True)
    active, examples = kept.active(), kept.examples()
    if update and active is None:
        raise PreferenceRefused("no model is active that could be updated; fit one without --update")
    if update and active is not None:
        model = updated(active, examples, made_by=ACTOR)
    else:
        model = fit_model(examples, made_by=ACTOR, previous=active)
    digest = kept.propose(model, ACTOR)
    document = {
        "digest": digest,
        "decisions": model.decisions,
        "acceptable": model.changes.acceptable,
        "changes": asdict(model.changes),
        "skipped": [list(entry) for entry in collected.skipped],
    }
    result(document, candidate_page(digest, model), as_json=as_json)


@app.command("show")
def show(digest: OneDigest = "", config: ConfigFile = None, store: StoreFolder = None, as_json: AsJson = False) -> None:
    """The history of models, or one with its weights and its three records."""
    _, kept = _store(config, store)
    if not digest:
        steps, active = kept.history(), kept.active_digest()
        document = {"active": active, "history": [asdict(step) for step in steps]}
        result(document, history_table(steps, active), as_json=as_json)
        return
    model = kept.load(kept.resolve(digest))
    result(json.loads(model.to_bytes()), candidate_page(model.digest, model), as_json=as_json)


@app.command("explain")
def explain(
    session: SessionId,
    physician: Physician = "",
    config: ConfigFile = None,
    store: StoreFolder = None,
    as_json: AsJson = False,
) -> None:
    """Whether the physician would approve the plan of a session, and what speaks for and against."""
    folder, kept = _store(config, store)
    standing = replay(AuditLog.read_only(folder / "audit.sqlite").rows(), next_state).get(session)
    if standing is None or "evaluation.json" not in standing.artefacts:
        raise SessionError(f"There is no session '{session}' with a plan; 'couchside sessions' lists them")
    files = Artefacts(folder / "sessions" / session, folder, lambda: standing.artefacts)
    verdict = kept.verdict(features_of(files.evaluation(), files.scheduled()), physician)
    result(json.loads(verdict.to_json()), verdict_table(verdict), as_json=as_json)


@app.command("check")
def check(person: Person = None, config: ConfigFile = None, store: StoreFolder = None, as_json: AsJson = False) -> None:
    """Whether the active model still fits what is decided, for every site and physician, and the log is whole."""
    folder, kept = _store(config, store)
    _collect(folder, kept, person or [], strict=False)
    verify_preference(folder)
    report = kept.watch(ACTOR)
    if report is None:
        result({"active": ""}, "no preference model is active", as_json=as_json)
        return
    document = {"active": report.model_digest, **json.loads(report.to_json()), "warnings": list(report.warnings)}
    result(document, watch_table(report), as_json=as_json)


@app.command("activate")
def activate(
    digest: Digest,
    identity: Identity,
    despite: Despite = "",
    passphrase_stdin: FromStdin = False,
    config: ConfigFile = None,
    store: StoreFolder = None,
    as_json: AsJson = False,
) -> None:
    """Let a candidate predict from now on, in a person's name and with that person's signature."""
    folder, kept = _store(config, store)
    full = kept.resolve(digest)
    actor, endorsement = _endorsed(folder, identity, f"activate preference model {full}", passphrase_stdin)
    model = kept.activate(full, actor, despite=despite, endorsement=endorsement)
    result({"active": model.digest}, f"{model.digest[:16]} is active, in the name of {actor}", as_json=as_json)


@app.command("rollback")
def rollback(
    identity: Identity,
    reason: Why = "",
    passphrase_stdin: FromStdin = False,
    config: ConfigFile = None,
    store: StoreFolder = None,
    as_json: AsJson = False,
) -> None:
    """Go back to the model that was active before, or to none."""
    folder, kept = _store(config, store)
    statement = f"roll back preference model {kept.active_digest()}"
    actor, endorsement = _endorsed(folder, identity, statement, passphrase_stdin)
    digest = kept.roll_back(actor, reason, endorsement=endorsement)
    result({"active": digest}, f"active is now {digest[:16] or 'no model'}", as_json=as_json)


def _endorsed(folder: Path, identity: str, statement: str, from_stdin: bool) -> tuple[str, dict[str, JsonValue]]:
    """(the actor for the log, that person's signature under the statement). Raises ApprovalError."""
    passphrase = read_passphrase(f"Passphrase of {identity}: ", from_stdin=from_stdin)
    person, signature = IdentityStore(folder / "identities").endorse(identity, passphrase, statement)
    actor = f"{person.name} ({person.role})"
    return actor, {"statement": statement, "signature": signature, "public_key": person.public_key}


def _collect(folder: Path, kept: PreferenceStore, people: list[str], *, strict: bool) -> Collected:
    """Decisions of past sessions, kept if they are new. strict: refuse where somebody is a stranger, because refusals
    without their physician would make everybody look content."""
    named = dict(_named(entry) for entry in people)
    if physicians := [name for name in named.values() if name]:
        identities = IdentityStore(folder / "identities")
        known = {name: identities.find(name).name for name in physicians}
        named = {user: known.get(name, name) for user, name in named.items()}
    try:
        collected = examples_from_sessions(folder, named)
    except AuditError:
        if (folder / "audit.sqlite").exists():
            raise
        collected = Collected((), (), ())
    if collected.strangers:
        sentence = (
            f"decisions were made by {', '.join(collected.strangers)}; say who that is with --person "
            f"'{collected.strangers[0]}=NAME', or leave them out with --person '{collected.strangers[0]}='"
        )
        if strict:
            raise PreferenceRefused(sentence)
        note(sentence)
    kept.record(collected.examples, ACTOR)
    return collected


def _named(entry: str) -> tuple[str, str]:
    user, equals, name = entry.partition("=")
    if not equals or not user.strip():
        raise CouchsideError(f"'{entry}' does not say who a user is; write 'uid 1000=Dr A'")
    return user.strip(), name.strip()
