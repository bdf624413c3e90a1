"""A clinic's own guideline package, small enough to read, written and signed for a test."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.evaluation.guidelines.keys import PublicKey
from appliance.evaluation.guidelines.package import sign_package

from ..session.small_case import GOALS as SMALL

MANIFEST = """
format = 1
name = "clinic"
version = "{version}"
title = "Our clinic's own goals"
author = "Physics, our clinic"
valid_from = {valid_from}
valid_until = {valid_until}
sites = ["small"]
changes = ["{changes}"]
"""
_OF_CORE = 'limit = 18.0\nunit = "Gy"\npriority = 2'
assert SMALL.count(_OF_CORE) == 1
GOALS = SMALL.replace(_OF_CORE, 'limit = {core_gy}\nunit = "Gy"\npriority = {priority}')
"""The small case's own goals, with the one on its organ to be filled in."""


def write_package(
    folder: Path,
    key: Ed25519PrivateKey,
    *,
    version: str = "1.0.0",
    valid_from: str = "2026-01-01",
    valid_until: str = "2099-12-31",
    core_gy: float = 18.0,
    priority: int = 2,
    goals: str = GOALS,
    changes: str = "First version",
    fractionation: str = "",
) -> Path:
    (folder / "goals").mkdir(parents=True)
    facts = {"version": version, "valid_from": valid_from, "valid_until": valid_until, "changes": changes}
    covers = f"[fractionation]\n{fractionation}" if fractionation else ""
    (folder / "package.toml").write_text(MANIFEST.format(**facts) + covers, "utf-8")
    (folder / "goals" / "small.toml").write_text(goals.format(core_gy=core_gy, priority=priority), "utf-8")
    sign_package(folder, key)
    return folder


def public(key: Ed25519PrivateKey, signer: str = "Our clinic") -> PublicKey:
    return PublicKey(signer=signer, public_key=key.public_key().public_bytes_raw().hex())
