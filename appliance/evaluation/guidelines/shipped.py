"""The guideline packages that ship with Couchside: in models/guidelines, a folder each, signed with its key.

Each is active at the version that ships as long as nobody has activated another version of it.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import as_file, files

from appliance.contracts import GoalSet
from appliance.evaluation.guidelines.keys import PublicKey, read_keys
from appliance.evaluation.guidelines.manifest import MANIFEST
from appliance.evaluation.guidelines.package import Package, read_package


@cache
def project_keys() -> tuple[PublicKey, ...]:
    """The public half of the key that shipped packages are signed with."""
    with as_file(files("models") / "guidelines") as folder:
        return read_keys(folder / "keys")


@cache
def shipped_packages() -> tuple[Package, ...]:
    """By name. Raises RefusedPackage where a file of the installation is not the one that was signed."""
    with as_file(files("models") / "guidelines") as folder:
        folders = sorted(path.parent for path in folder.glob(f"*/{MANIFEST}"))
        return tuple(read_package(path, project_keys()) for path in folders)


@cache
def list_goal_sets() -> tuple[GoalSet, ...]:
    """The goal sets that ship with Couchside, by name."""
    sets = [goal_set for package in shipped_packages() for goal_set in package.goal_sets]
    return tuple(sorted(sets, key=lambda goal_set: goal_set.name))
