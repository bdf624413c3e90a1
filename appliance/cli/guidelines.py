"""`couchside guidelines`: what plans are judged by: packages, versions, what changes, and who decided it."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from appliance.approval import IdentityStore
from appliance.audit import AuditLog
from appliance.audit.checkpoint import create_key, load_key
from appliance.cli.approve import FromStdin, read_passphrase
from appliance.cli.guideline_words import document_of, goal_rows, package_document, package_row
from appliance.cli.options import AsJson, ConfigFile, StoreFolder, settings
from appliance.cli.output import note, progress, result, table
from appliance.errors import RefusedPackage, StoreBusy, WriteFailed
from appliance.evaluation.guidelines.diff import diff as difference
from appliance.evaluation.guidelines.keys import key_file
from appliance.evaluation.guidelines.package import Package, read_package, sign_package
from appliance.evaluation.guidelines.store import GuidelineStore
from appliance.evaluation.guidelines.words import change_lines
from appliance.node import ask
from appliance.node.guideline_acts import perform
from appliance.session_guidelines import GuidelineDesk, guideline_store, lost_decisions
from appliance.session_impact import past_impact

app = typer.Typer(help="Guideline packages: the clinical goals that plans are judged by.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="A package as 'guidelines list' names it.")]
Version = Annotated[str, typer.Argument(metavar="VERSION", help="As 'guidelines list' gives it.")]
Folder = Annotated[Path, typer.Argument(metavar="PACKAGE", help="The package's folder.")]
Which = "A package (its active version), NAME@VERSION, or a package's folder."
Old = Annotated[str, typer.Argument(metavar="OLD", help=Which)]
New = Annotated[str, typer.Argument(metavar="NEW", help=Which)]
Person = Annotated[str, typer.Option("--identity", metavar="PERSON", help="A registered person who decides it.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the record.")]
KeyFile = Annotated[Path, typer.Option("--key", metavar="FILE", help="Private key that 'guidelines key' made.")]
Signer = Annotated[str, typer.Option("--signer", metavar="NAME", help="Whose key it is.")]


@app.command("list")
def list_packages(config: ConfigFile = None, store: StoreFolder = None, as_json: AsJson = False) -> None:
    """List the packages, their versions, and which are active and why."""
    guidelines = _guidelines(config, store)
    packages, refused = guidelines.installed()
    active = {one.package.digest: one.why for one in guidelines.active()}
    today = guidelines.today()
    entries = [package_document(one, active.get(one.digest, ""), one.expired(today)) for one in packages]
    rows = [package_row(one, active.get(one.digest, ""), one.expired(today)) for one in packages]
    shown = table("Guideline packages", ("package", "version", "what it is", "signed by", "active", "valid"), rows)
    result({"packages": entries, "refused": list(refused)}, shown, as_json=as_json)
    lost = lost_decisions(settings(config, store).node.store)
    for sentence in (*refused, *guidelines.expired(), *([lost] if lost else [])):
        note(sentence)


@app.command("show")
def show(name: Name, config: ConfigFile = None, store: StoreFolder = None, as_json: AsJson = False) -> None:
    """Every goal of a package with its limit, acceptable variation, endpoint and source."""
    package = _package(_guidelines(config, store), name)
    columns = ("goal set", "goal", "acceptable variation", "protects from", "source")
    title = f"{package.manifest.name} {package.manifest.version}: {package.manifest.title}"
    document = package_document(package, "", "") | {"goal_sets": [document_of(one) for one in package.goal_sets]}
    result(document, table(title, columns, goal_rows(package)), as_json=as_json)


@app.command("diff")
def diff(old: Old, new: New, config: ConfigFile = None, store: StoreFolder = None, as_json: AsJson = False) -> None:
    """What differs, in words and numbers, and what it would change on the stored plans."""
    chosen = settings(config, store)
    guidelines = _guidelines(config, store)
    before, after = _package(guidelines, old), _package(guidelines, new)
    with progress("Judging stored plans again"):
        changes, impact = difference(before, after), past_impact(chosen.node.store, before, after)
    document = {"changes": [asdict(one) for one in changes], "impact": {"summary": impact.sentence, **asdict(impact)}}
    result(document, "\n".join(change_lines(changes, impact)), as_json=as_json)


@app.command("install")
def install(folder: Folder, config: ConfigFile = None, store: StoreFolder = None, as_json: AsJson = False) -> None:
    """Verify a package and lay it beside the others. It becomes active only by 'activate'."""
    _act(settings(config, store).node.store, {"act": "install", "path": str(folder.absolute())}, as_json=as_json)


@app.command("activate")
def activate(
    name: Name,
    version: Version,
    person: Person,
    reason: Reason = "",
    passphrase_stdin: FromStdin = False,
    config: ConfigFile = None,
    store: StoreFolder = None,
    as_json: AsJson = False,
) -> None:
    """Judge new plans by this version from now on; a named person decides it with a passphrase."""
    _guidelines(config, store).find(name, version)
    decision = {"act": "activate", "name": name, "version": version, **_decided(person, reason, passphrase_stdin)}
    _act(settings(config, store).node.store, decision, as_json=as_json)


@app.command("rollback")
def rollback(
    name: Name,
    person: Person,
    reason: Reason = "",
    passphrase_stdin: FromStdin = False,
    config: ConfigFile = None,
    store: StoreFolder = None,
    as_json: AsJson = False,
) -> None:
    """Go back to the version that was active before."""
    decision = {"act": "rollback", "name": name, **_decided(person, reason, passphrase_stdin)}
    _act(settings(config, store).node.store, decision, as_json=as_json)


@app.command("trust")
def trust(
    key: Annotated[Path, typer.Argument(metavar="KEYFILE", help="The public key file of who signs packages.")],
    person: Person,
    reason: Reason = "",
    passphrase_stdin: FromStdin = False,
    config: ConfigFile = None,
    store: StoreFolder = None,
    as_json: AsJson = False,
) -> None:
    """Trust a key: packages that it signed may be installed. Compare its digits with its owner first."""
    decision = {"act": "trust", "path": str(key.absolute()), **_decided(person, reason, passphrase_stdin)}
    _act(settings(config, store).node.store, decision, as_json=as_json)


@app.command("key")
def key(out: Annotated[Path, typer.Argument(metavar="FILE", help="Where the private key goes.")],
        signer: Signer, as_json: AsJson = False) -> None:  # fmt: skip
    """Make a key to sign a clinic's own packages with: FILE (private, mode 0600) and FILE.toml (to give away)."""
    public = out.with_name(f"{out.name}.toml")
    try:
        content = key_file(signer, create_key(out))
        public.write_bytes(content)
    except OSError as error:
        raise WriteFailed(f"{out} ({error.strerror})") from error
    result({"private": str(out), "public": str(public)}, f"{public} may be given away, {out} never", as_json=as_json)


@app.command("sign")
def sign(folder: Folder, key: KeyFile, as_json: AsJson = False) -> None:
    """Check a package's files, list them by SHA-256 and sign the list."""
    try:
        digest = sign_package(folder, load_key(key))
    except OSError as error:
        raise WriteFailed(f"{folder} ({error.strerror})") from error
    result({"package": str(folder), "digest": digest}, f"{folder} is signed ({digest})", as_json=as_json)


def _guidelines(config: Path | None, store: Path | None) -> GuidelineStore:
    return guideline_store(settings(config, store).node.store)


def _package(guidelines: GuidelineStore, which: str) -> Package:
    """NAME, NAME@VERSION or a folder. Raises RefusedPackage."""
    if Path(which).is_dir():
        return read_package(Path(which), guidelines.trusted_keys())
    name, _, version = which.partition("@")
    if version:
        return guidelines.find(name, version)
    active = guidelines.active_version(name)
    if active is None:
        remedy = "See 'couchside guidelines list'; a version that is not active is named NAME@VERSION"
        raise RefusedPackage("no version of it is active", what=name, remedy=remedy)
    return active.package


def _decided(person: str, reason: str, from_stdin: bool) -> dict[str, str]:
    passphrase = read_passphrase(f"Passphrase of {person}: ", from_stdin=from_stdin)
    return {"person": person, "reason": reason, "passphrase": passphrase}


def _act(store: Path, request: dict[str, str], *, as_json: bool) -> None:
    """Done here where no node runs on the store, else by the node, which alone writes the audit log then."""
    store.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with AuditLog.open(store / "audit.sqlite") as audit:
            desk = GuidelineDesk(store, audit, IdentityStore(store / "identities"))
            answer = perform(desk, {**request}, f"uid {os.getuid()}")
    except StoreBusy:
        answer = ask(store, {"command": "guidelines", **request})
        answer.pop("ok")
    lines = answer.pop("lines")
    result(answer, "\n".join(map(str, lines if isinstance(lines, list) else [])), as_json=as_json)
