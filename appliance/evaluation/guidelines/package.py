"""A guideline package on disk: one folder, every file of it listed by SHA-256, the list signed.

    package.toml        what it is (`manifest`)            SHA256SUMS       `HASH  PATH` lines, sorted by path
    goals/*.toml        goal files (`goal_schema`)         signature.toml   Ed25519 over SHA256SUMS (`keys`)
    passages/*.toml     the text they come from, in our own words (may be left out)

`sha256sum --check SHA256SUMS` checks the files by hand. Nothing else may be in the folder: what is not listed is not
signed, and what is not signed is refused.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.contracts import GoalSet, GuidelineSource
from appliance.contracts.passage import Passage
from appliance.errors import RefusedGoals, RefusedPackage
from appliance.evaluation.goal_files import parse_goal_set, with_source
from appliance.evaluation.goal_schema import Covers
from appliance.evaluation.guidelines.keys import PublicKey, sign, signed_by
from appliance.evaluation.guidelines.manifest import MANIFEST, Manifest, read_manifest
from appliance.evaluation.retrieval.passages import load_passages, shipped_passages

FILE_LIST, SIGNATURE = "SHA256SUMS", "signature.toml"
LARGEST_FILE_BYTES = 1024 * 1024
MOST_FILES = 500
"""Chosen, because a goal file has some kilobytes; anything larger is no guideline."""

_ALLOWED = re.compile(r"^(package\.toml|(goals|passages)/[a-z0-9][a-z0-9._-]*\.toml)$")


@dataclass(frozen=True)
class Package:
    """A package that was read whole and found signed. digest: SHA-256 (hex) of its list of files. content: its files'
    bytes by path. goal_sets: in the order of their files."""

    manifest: Manifest
    digest: str
    signer: str
    goal_sets: tuple[GoalSet, ...]
    content: tuple[tuple[str, bytes], ...]
    passages: tuple[Passage, ...]
    """Its own; its goals may name those that ship with Couchside too."""
    signature: tuple[bytes, bytes]
    """The bytes of SHA256SUMS and of signature.toml."""

    @property
    def source(self) -> GuidelineSource:
        return GuidelineSource(self.manifest.name, self.manifest.version, self.digest, self.signer)

    def goal_file(self, name: str) -> bytes:
        """The bytes of one of its goal files with the package written at the end. Raises RefusedGoals."""
        for path, content in self.content:
            if path.startswith("goals/") and parse_goal_set(content, path).name == name:
                return with_source(content, self.source)
        raise RefusedGoals(f"the guideline package {self.manifest.name} has no goal set '{name}'")

    def expired(self, today: date) -> str:
        """Why it is not valid on a day; '' if it is."""
        manifest = self.manifest
        if today < manifest.valid_from:
            return f"it is valid only from {manifest.valid_from}"
        if manifest.valid_until is not None and today > manifest.valid_until:
            return f"its validity ended on {manifest.valid_until}"
        return ""


def read_package(folder: Path, keys: Sequence[PublicKey]) -> Package:
    """Reads and verifies one package; whether it is valid today is for the caller (`Package.expired`). Raises
    RefusedPackage saying what to do."""
    what = folder.name
    content = _files(folder, what)
    file_list, signature = _signature_files(folder, what)
    if file_list != canonical_list(content):
        raise _altered(content, file_list, what)
    key = signed_by(signature, file_list, keys, what)
    manifest = read_manifest(content[MANIFEST], what)
    digest = hashlib.sha256(file_list).hexdigest()
    source = GuidelineSource(manifest.name, manifest.version, digest, key.signer)
    sets = tuple(replace(one, guideline=source) for one in _goal_sets(content, manifest, what))
    passages = _passages(folder, content, sets, what)
    return Package(manifest, digest, key.signer, sets, tuple(content.items()), passages, (file_list, signature))


def sign_package(folder: Path, key: Ed25519PrivateKey) -> str:
    """Writes SHA256SUMS and signature.toml into a folder whose files are in order; returns the digest. Raises
    RefusedPackage naming what is not, and OSError."""
    content = _files(folder, folder.name)
    sets = _goal_sets(content, read_manifest(content[MANIFEST], folder.name), folder.name)
    _passages(folder, content, sets, folder.name)
    file_list = canonical_list(content)
    (folder / FILE_LIST).write_bytes(file_list)
    (folder / SIGNATURE).write_bytes(sign(key, file_list))
    return hashlib.sha256(file_list).hexdigest()


def canonical_list(content: dict[str, bytes]) -> bytes:
    """`HASH  PATH` and a line end for each file, sorted by path: the bytes that are signed."""
    lines = [f"{hashlib.sha256(data).hexdigest()}  {path}\n" for path, data in sorted(content.items())]
    return "".join(lines).encode()


def _files(folder: Path, what: str) -> dict[str, bytes]:
    remedy = "Install the folder that the package's author made, with nothing added and nothing missing"
    try:
        if not folder.is_dir():
            raise RefusedPackage(f"there is no folder {folder}", what=what, remedy="Give the path of its folder")
        paths = sorted(path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
        names = [path.relative_to(folder).as_posix() for path in paths]
        strange = [name for name in names if not _ALLOWED.match(name) and name not in (FILE_LIST, SIGNATURE)]
        if strange or any(path.is_symlink() for path in folder.rglob("*")):
            raise RefusedPackage(f"{(strange or ['a link'])[0]} does not belong in it", what=what, remedy=remedy)
        if len(names) > MOST_FILES or any(path.stat().st_size > LARGEST_FILE_BYTES for path in paths):
            raise RefusedPackage("it is larger than a guideline can be", what=what, remedy=remedy)
        content = {name: path.read_bytes() for name, path in zip(names, paths, strict=True)}
    except OSError as error:
        raise RefusedPackage(f"it cannot be read ({error.strerror})", what=what, remedy="Check its folder") from error
    content.pop(FILE_LIST, None)
    content.pop(SIGNATURE, None)
    if MANIFEST not in content:
        raise RefusedPackage(f"it has no {MANIFEST}", what=what, remedy=remedy)
    return content


def _signature_files(folder: Path, what: str) -> tuple[bytes, bytes]:
    try:
        return (folder / FILE_LIST).read_bytes(), (folder / SIGNATURE).read_bytes()
    except OSError as error:
        raise RefusedPackage(
            "it is not signed",
            what=what,
            remedy="Ask its author for the signed package, or sign your own with 'couchside guidelines sign'",
        ) from error


def _altered(content: dict[str, bytes], file_list: bytes, what: str) -> RefusedPackage:
    """Names the first file that is not the one that was signed."""
    listed: dict[str, str] = {}
    for line in file_list.decode("utf-8", "replace").splitlines():
        value, _, path = line.partition("  ")
        listed[path] = value
    here = {path: hashlib.sha256(data).hexdigest() for path, data in content.items()}
    differing = sorted(path for path in {*listed, *here} if listed.get(path) != here.get(path))
    first = differing[0] if differing else FILE_LIST
    how = "is missing" if first not in here else "is not listed" if first not in listed else "was changed"
    return RefusedPackage(
        f"{first} {how} since it was signed",
        what=what,
        remedy="Ask its author for the package as it was signed; a package of your own you sign again after a change",
    )


def _goal_sets(content: dict[str, bytes], manifest: Manifest, what: str) -> tuple[GoalSet, ...]:
    remedy = "Correct the goal file, then sign the package again"
    sets = []
    for path, data in sorted(content.items()):
        if not path.startswith("goals/"):
            continue
        try:
            goal_set = parse_goal_set(data, path)
        except RefusedGoals as error:
            raise RefusedPackage(str(error.fields["reason"]), what=what, remedy=remedy) from error
        if path != f"goals/{goal_set.name}.toml":
            raise RefusedPackage(f"{path} is called '{goal_set.name}' inside", what=what, remedy=remedy)
        _demand_covered(goal_set, manifest, what)
        sets.append(goal_set)
    if not sets:
        raise RefusedPackage("it has no goal file", what=what, remedy=remedy)
    return tuple(sets)


def _passages(folder: Path, content: dict[str, bytes], sets: Sequence[GoalSet], what: str) -> tuple[Passage, ...]:
    """The package's own passages. Every passage that a goal names must be one of them or one that ships."""
    remedy = "Correct the passage files or the goals' passage keys, then sign the package again"
    try:
        own = load_passages(folder / "passages") if any(path.startswith("passages/") for path in content) else ()
    except RefusedGoals as error:
        raise RefusedPackage(str(error.fields["reason"]), what=what, remedy=remedy) from error
    known = {passage.id for passage in (*own, *shipped_passages())}
    for goal_set in sets:
        for goal in (*goal_set.target_goals, *goal_set.goals):
            if goal.passage and goal.passage not in known:
                reason = f"'{goal}' of '{goal_set.name}' names the passage {goal.passage}, which does not exist"
                raise RefusedPackage(reason, what=what, remedy=remedy)
    return own


def _demand_covered(goal_set: GoalSet, manifest: Manifest, what: str) -> None:
    if goal_set.fraction_gy is None:
        return
    stated = Covers(fraction_gy=goal_set.fraction_gy, fractions=goal_set.fraction_counts)
    if manifest.fractionation is None or not stated.within(manifest.fractionation):
        raise RefusedPackage(
            f"its goal file '{goal_set.name}' covers a fractionation that {MANIFEST} does not",
            what=what,
            remedy=f"Widen [fractionation] of {MANIFEST} or correct [covers] of the goal file, then sign it again",
        )
