"""`couchside guidelines` as a clinic uses it: write, sign, trust, install, activate, roll back; and what is refused."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from appliance.approval import IdentityStore
from appliance.audit import AuditLog, verify
from appliance.config import Config, NodeConfig, PlanningConfig
from appliance.session_headless import read_case
from appliance.session_wiring import real_stages

from ..evaluation.clinic_package import GOALS, MANIFEST
from ..session.small_case import write_small_case

PERSON, PASSPHRASE = "Dr Guide", "a long enough passphrase"
FACTS = {"valid_from": "2026-01-01", "valid_until": "2099-12-31", "changes": "First version"}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    IdentityStore(tmp_path / "store" / "identities", scrypt_n=2**14).create(PERSON, "physicist", PASSPHRASE)
    return tmp_path / "store"


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch, run, store: Path):
    """Runs a guidelines command on the store; the passphrase waits on stdin."""

    def command(*arguments: object):
        monkeypatch.setattr("sys.stdin", io.StringIO(PASSPHRASE + "\n"))
        return run("guidelines", *arguments, "--store", store)

    return command


def decided(*arguments: object) -> tuple[object, ...]:
    return (*arguments, "--identity", PERSON, "--passphrase-stdin")


def write(folder: Path, *, version: str, core_gy: float, **facts: str) -> Path:
    (folder / "goals").mkdir(parents=True)
    (folder / "package.toml").write_text(MANIFEST.format(**{**FACTS, "version": version, **facts}), "utf-8")
    (folder / "goals" / "small.toml").write_text(GOALS.format(core_gy=core_gy, priority=2), "utf-8")
    return folder


@pytest.fixture
def signed(tmp_path: Path, run, say):
    """Makes packages signed with one key, which the store trusts."""
    assert run("guidelines", "key", tmp_path / "clinic.key", "--signer", "Our clinic").code == 0
    assert say(*decided("trust", tmp_path / "clinic.key.toml")).code == 0

    def make(version: str, core_gy: float, **facts: str) -> Path:
        folder = write(tmp_path / f"clinic-{version}", version=version, core_gy=core_gy, **facts)
        assert run("guidelines", "sign", folder, "--key", tmp_path / "clinic.key").code == 0
        return folder

    return make


def listed(say) -> dict[tuple[str, str], str]:
    packages = json.loads(say("list", "--json").out)["packages"]
    return {(one["name"], one["version"]): one["active"] for one in packages}


def test_a_clinic_writes_signs_installs_activates_and_rolls_back(say, signed, store: Path) -> None:
    assert say("install", signed("1.0.0", 45.0)).code == 0
    assert say("install", signed("2.0.0", 48.0)).code == 0
    assert listed(say)["clinic", "1.0.0"] == listed(say)["clinic", "2.0.0"] == ""
    assert say(*decided("activate", "clinic", "1.0.0")).code == 0
    told = say(*decided("activate", "clinic", "2.0.0"))
    assert "Core Mean, upper limit 45 → 48 Gy (+6.7 %), easier to meet" in told.out
    assert listed(say)["clinic", "2.0.0"].startswith(f"activated by {PERSON} (physicist)")
    assert say(*decided("rollback", "clinic")).code == 0
    assert listed(say)["clinic", "1.0.0"].startswith(f"rolled back to by {PERSON}")
    rows = [row.event for row in AuditLog.read_only(store / "audit.sqlite").rows()]
    assert rows == [f"guidelines.{what}" for what in (
        "key_trusted", "installed", "installed", "activated", "activated", "rolled_back"
    )]  # fmt: skip
    assert verify(store / "audit.sqlite").ok


def test_a_diff_speaks_of_what_is_installed_and_of_folders(say, signed) -> None:
    first, second = signed("1.0.0", 45.0), signed("2.0.0", 48.0)
    say("install", first)
    told = json.loads(say("diff", "clinic@1.0.0", second, "--json").out)
    assert [(change["before"], change["after"]) for change in told["changes"]] == [(45.0, 48.0)]
    assert told["impact"]["summary"].startswith("No stored plan was judged with this guideline")
    assert say("diff", first, first).out.startswith("Nothing differs")


def test_shipped_limits_are_shown_with_their_sources(say) -> None:
    told = say("show", "quantec", "--json")
    goals = [goal for one in json.loads(told.out)["goal_sets"] for goal in one["goals"]]
    assert {"metric": "Mean", "limit": 25.0, "doi": "10.1016/j.ijrobp.2009.07.1754"}.items() <= next(
        goal for goal in goals if goal["structure"] == "Parotid_L"
    ).items()


def test_tampered_bytes_are_refused(say, signed) -> None:
    folder = signed("1.0.0", 45.0)
    goals = folder / "goals" / "small.toml"
    goals.write_bytes(goals.read_bytes().replace(b"45.0", b"54.0"))
    told = say("install", folder)
    assert told.code == 4
    assert "goals/small.toml was changed since it was signed" in told.err


def test_an_unknown_key_is_refused(tmp_path: Path, run, say) -> None:
    folder = write(tmp_path / "other", version="1.0.0", core_gy=45.0)
    run("guidelines", "key", tmp_path / "other.key", "--signer", "Somebody")
    run("guidelines", "sign", folder, "--key", tmp_path / "other.key")
    told = say("install", folder)
    assert (told.code, "a key that is not trusted here" in told.err) == (4, True)


def test_an_unsigned_package_is_refused(tmp_path: Path, say) -> None:
    told = say("install", write(tmp_path / "unsigned", version="1.0.0", core_gy=45.0))
    assert (told.code, "it is not signed. Ask its author" in told.err) == (4, True)


def test_an_expired_package_is_refused(say, signed) -> None:
    told = say("install", signed("1.0.0", 45.0, valid_until="2026-02-01"))
    assert (told.code, "its validity ended on 2026-02-01" in told.err) == (4, True)


def test_a_wrong_passphrase_activates_nothing(monkeypatch, run, say, signed, store: Path) -> None:
    say("install", signed("1.0.0", 45.0))
    monkeypatch.setattr("sys.stdin", io.StringIO("guessed wrongly\n"))
    told = run("guidelines", *decided("activate", "clinic", "1.0.0"), "--store", store)
    assert (told.code, "passphrase of Dr Guide is wrong" in told.err) == (7, True)
    assert listed(say)["clinic", "1.0.0"] == ""


def test_what_is_not_there_is_named(say) -> None:
    told = say(*decided("activate", "quantec", "9.0.0"))
    assert (told.code, "there are openkbp 1.0.0, quantec 1.0.0" in told.err) == (4, True)
    assert say("show", "clinic").code == 4
    assert say(*decided("rollback", "quantec")).code == 4


def test_a_package_altered_in_the_store_is_named_and_the_others_still_listed(say, signed, store: Path) -> None:
    say("install", signed("1.0.0", 45.0))
    goals = store / "guidelines" / "packages" / "clinic" / "1.0.0" / "goals" / "small.toml"
    goals.write_bytes(goals.read_bytes().replace(b"45.0", b"54.0"))
    told = say("list", "--json")
    assert "goals/small.toml was changed" in json.loads(told.out)["refused"][0]
    assert ("clinic", "1.0.0") not in listed(say)
    assert ("quantec", "1.0.0") in listed(say)


def test_the_doctor_finds_an_active_package_that_was_altered(run, say, signed, store: Path) -> None:
    say("install", signed("1.0.0", 45.0))
    say(*decided("activate", "clinic", "1.0.0"))
    goals = store / "guidelines" / "packages" / "clinic" / "1.0.0" / "goals" / "small.toml"
    goals.write_bytes(goals.read_bytes().replace(b"45.0", b"54.0"))
    checks = json.loads(run("doctor", "--store", store, "--json").out)["checks"]
    found = next(check for check in checks if check["key"] == "guidelines")
    assert (found["status"], "goals/small.toml was changed" in found["sentence"]) == ("failed", True)


def test_other_commands_verify_decisions_with_the_persons_of_the_store(
    say, signed, tmp_path: Path, store: Path
) -> None:
    """`replan` keeps its session in a temporary folder, in which nobody is registered."""
    say("install", signed("1.0.0", 45.0))
    say(*decided("activate", "clinic", "1.0.0"))
    stages = real_stages(
        Config(node=NodeConfig(store=store), planning=PlanningConfig(site="small", device="cpu")),
        IdentityStore(tmp_path / "elsewhere" / "identities"),
    )
    received, _ = read_case(write_small_case(tmp_path / "case").folder)
    assert b'name = "clinic"' in stages.choose_goals(stages.assemble(received))
