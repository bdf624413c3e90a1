"""The guideline packages of one store, and which version of each is active.

    STORE/guidelines/packages/NAME/VERSION/   installed packages, as they were signed
    STORE/guidelines/keys/*.toml              keys that a person has decided to trust
    STORE/guidelines/decisions.jsonl          who activated, rolled back or trusted what, each line signed by the person
    STORE/guidelines/records/                 the change-control records (`records`)

A shipped package is active at the version that ships until a person activates another one. Every reading verifies
signatures and digests again: what was changed on the disk is refused, never used.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from appliance.contracts import GoalSet
from appliance.contracts.passage import Passage
from appliance.errors import RefusedPackage
from appliance.evaluation.guidelines.decision import Decision, Verify, read_decisions
from appliance.evaluation.guidelines.keys import PublicKey, read_key
from appliance.evaluation.guidelines.manifest import NAME, VERSION, version_key
from appliance.evaluation.guidelines.package import FILE_LIST, SIGNATURE, Package, read_package
from appliance.evaluation.guidelines.shipped import project_keys, shipped_packages

AS_SHIPPED = "as shipped"


@dataclass(frozen=True)
class Active:
    """A package in force, and why: 'as shipped', or by whose decision."""

    package: Package
    why: str


class GuidelineStore:
    """`verify` checks a decision's signature against the registered persons; `today` is the day validity is judged
    on."""

    def __init__(self, folder: Path, verify: Verify, today: Callable[[], date] = date.today) -> None:
        self.folder = folder
        self._verify = verify
        self.today = today

    def decisions(self) -> tuple[Decision, ...]:
        """Raises RefusedPackage if the list was altered."""
        path = self.folder / "decisions.jsonl"
        return read_decisions(path.read_bytes(), self._verify) if path.exists() else ()

    def trusted_keys(self) -> tuple[PublicKey, ...]:
        """The project's, and those that a person has decided to trust; a key file nobody decided on counts nothing."""
        trusted = {decision.digest for decision in self.decisions() if decision.kind == "trust"}
        paths = sorted((self.folder / "keys").glob("*.toml"))
        contents = [(path.name, path.read_bytes()) for path in paths]
        own = [read_key(data, name) for name, data in contents if hashlib.sha256(data).hexdigest() in trusted]
        return (*project_keys(), *own)

    def installed(self) -> tuple[tuple[Package, ...], tuple[str, ...]]:
        """(shipped packages and those in the store, by name and version; a sentence for each that is refused)."""
        keys, packages, refused = self.trusted_keys(), list(shipped_packages()), []
        for folder in sorted(path for path in (self.folder / "packages").glob("*/*") if path.name[0] != "."):
            try:
                packages.append(self._read(folder, keys))
            except RefusedPackage as error:
                refused.append(error.sentence)
        packages.sort(key=lambda one: (one.manifest.name, version_key(one.manifest.version)))
        return tuple(packages), tuple(refused)

    def find(self, name: str, version: str) -> Package:
        """Raises RefusedPackage if it is not installed, saying what is, or was altered."""
        for package in shipped_packages():
            if (package.manifest.name, package.manifest.version) == (name, version):
                return package
        folder = self._place(name, version)
        if folder is not None and folder.is_dir():
            return self._read(folder, self.trusted_keys())
        there = ", ".join(f"{one.manifest.name} {one.manifest.version}" for one in self.installed()[0])
        raise RefusedPackage(
            "it is not installed", what=f"{name} {version}", remedy=f"Install it first; there are {there}"
        )

    def _place(self, name: str, version: str) -> Path | None:
        """None for what cannot be a package's name and version, so that none leads out of the store."""
        return self.folder / "packages" / name / version if NAME.match(name) and VERSION.match(version) else None

    def _read(self, folder: Path, keys: tuple[PublicKey, ...]) -> Package:
        package = read_package(folder, keys)
        if (package.manifest.name, package.manifest.version) != (folder.parent.name, folder.name):
            raise RefusedPackage(
                f"the folder of {folder.parent.name} {folder.name} holds {package.manifest.name} "
                f"{package.manifest.version}",
                what=f"{folder.parent.name} {folder.name}",
                remedy="Remove the folder and install the package again",
            )
        return package

    def active(self) -> tuple[Active, ...]:
        """One version of each package, verified, by name; whether it is valid today is not asked (`usable`)."""
        decided = {one.name: one for one in self.decisions() if one.kind != "trust"}
        found = [Active(package, AS_SHIPPED) for package in shipped_packages() if package.manifest.name not in decided]
        found += [self._decided(one) for one in decided.values() if one.version]
        return tuple(sorted(found, key=lambda one: one.package.manifest.name))

    def active_version(self, name: str) -> Active | None:
        return next((one for one in self.active() if one.package.manifest.name == name), None)

    def usable(self) -> tuple[GoalSet, ...]:
        """Every goal set of the active packages that are valid today, by name."""
        today = self.today()
        sets = [
            one for active in self.active() if not active.package.expired(today) for one in active.package.goal_sets
        ]
        return tuple(sorted(sets, key=lambda one: one.name))

    def expired(self) -> tuple[str, ...]:
        """A sentence for each active package that is not valid today, with what to do."""
        today = self.today()
        return tuple(
            f"The guideline package {one.package.manifest.name} {one.package.manifest.version} is not used: {why}. "
            "Activate a version that is valid with 'couchside guidelines activate'"
            for one in self.active()
            if (why := one.package.expired(today))
        )

    def passages(self) -> tuple[Passage, ...]:
        """The active packages' own passages, beside those that ship with Couchside."""
        return tuple(passage for one in self.active() for passage in one.package.passages)

    def goal_file(self, goal_set: str) -> bytes:
        """The bytes of an active goal file with its package written at the end. Raises RefusedPackage."""
        for one in self.active():
            if any(goal_set == known.name for known in one.package.goal_sets):
                return one.package.goal_file(goal_set)
        raise RefusedPackage("no active package has it", what=goal_set, remedy="See 'couchside guidelines list'")

    def demand_new(self, package: Package) -> None:
        """Raises RefusedPackage if a package of this name and version is there already."""
        manifest = package.manifest
        place = self._place(manifest.name, manifest.version)
        shipped = {(one.manifest.name, one.manifest.version) for one in shipped_packages()}
        if (place is not None and place.exists()) or (manifest.name, manifest.version) in shipped:
            same = self.find(manifest.name, manifest.version).digest == package.digest
            raise RefusedPackage(
                "it is installed already" if same else "another package of this version is installed",
                what=f"{manifest.name} {manifest.version}",
                remedy="Nothing is left to do" if same else "Its author must give the changed one a new version",
            )

    def add(self, package: Package) -> Path:
        """Writes a verified package under its version: whole or not at all. Raises RefusedPackage if the version is
        there already, and OSError."""
        self.demand_new(package)
        manifest = package.manifest
        final = self.folder / "packages" / manifest.name / manifest.version
        staging = final.with_name(f".{manifest.version}.part")
        shutil.rmtree(staging, ignore_errors=True)
        for name, data in (*package.content, (FILE_LIST, package.signature[0]), (SIGNATURE, package.signature[1])):
            _write(staging / name, data)
        staging.rename(final)
        return final

    def add_key(self, content: bytes) -> None:
        """Lays a key file down; it counts once a 'trust' decision names its digest. Raises OSError."""
        _write(self.folder / "keys" / f"{hashlib.sha256(content).hexdigest()[:16]}.toml", content)

    def decide(self, decision: Decision) -> None:
        """Appends a signed decision, durable when it returns. Raises OSError."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.folder / "decisions.jsonl"
        whole = path.read_bytes().rfind(b"\n") + 1 if path.exists() else 0
        with path.open("ab") as stream:
            os.truncate(stream.fileno(), whole)
            stream.write(decision.to_line())
            stream.flush()
            os.fsync(stream.fileno())

    def _decided(self, decision: Decision) -> Active:
        package = self.find(decision.name, decision.version)
        if package.digest != decision.digest:
            raise RefusedPackage(
                f"it is not the package that {decision.person} activated",
                what=f"{decision.name} {decision.version}",
                remedy="Restore the package from its author, or activate another version",
            )
        verb = "rolled back to" if decision.kind == "rollback" else "activated"
        return Active(package, f"{verb} by {decision.person} ({decision.role}) on {decision.at[:10]}")


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
