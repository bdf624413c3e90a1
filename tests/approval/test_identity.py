"""Persons, passphrases and the lock-out."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.approval import ATTEMPTS_ALLOWED, LOCKED_FOR_S, IdentityStore, Person, attempts
from appliance.approval.person import SCRYPT_N
from appliance.contracts import Shown
from appliance.errors import ApprovalError

CHEAP = 2**10
PASSPHRASE = "correct horse battery"
SHOWN = Shown(
    session_id="s", case_digest="1" * 64, plan_digest="2" * 64, dose_digest="3" * 64, evaluation_digest="4" * 64
)


@pytest.fixture
def store(tmp_path: Path) -> IdentityStore:
    store = IdentityStore(tmp_path / "identities", scrypt_n=CHEAP)
    store.create("Ada Physician", "physician", PASSPHRASE)
    return store


def fail(store: IdentityStore, times: int) -> list[str]:
    said = []
    for _ in range(times):
        with pytest.raises(ApprovalError) as refusal:
            store.sign("Ada Physician", "wrong passphrase", SHOWN)
        said.append(str(refusal.value))
    return said


def test_persons_are_listed_by_name_and_keep_their_key(store: IdentityStore, tmp_path: Path) -> None:
    created = store.create("Émile Physicist", "physicist", PASSPHRASE)
    store.create("DEMO physician", "demo", "demo", demo=True)
    again = IdentityStore(tmp_path / "identities").list()
    assert [(p.name, p.role, p.is_demo) for p in again] == [
        ("Ada Physician", "physician", False),
        ("DEMO physician", "demo", True),
        ("Émile Physicist", "physicist", False),
    ]
    assert again[2] == created == store.find("Émile Physicist")


def test_files_are_for_the_owner_only_and_hold_no_key_in_clear(store: IdentityStore, tmp_path: Path) -> None:
    folder = tmp_path / "identities"
    (file,) = folder.glob("*.json")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    key = store.find("Ada Physician").unseal(PASSPHRASE)
    assert key is not None
    assert key.private_bytes_raw().hex() not in file.read_text()


def test_the_default_cost_is_the_stated_one(tmp_path: Path) -> None:
    store = IdentityStore(tmp_path)
    store.create("Ada Physician", "physician", PASSPHRASE)
    assert json.loads(next(tmp_path.glob("*.json")).read_text())["scrypt_n"] == SCRYPT_N == 131072
    start = time.process_time()
    store.sign("Ada Physician", PASSPHRASE, SHOWN)
    assert time.process_time() - start > 0.1, "a guess is not cheap"


@pytest.mark.parametrize("name", ["Ada Physician", "ada physician", "  ADA PHYSICIAN "])
def test_a_name_is_taken_once(store: IdentityStore, name: str) -> None:
    with pytest.raises(ApprovalError, match="taken"):
        store.create(name, "physicist", PASSPHRASE)
    assert store.find("Ada Physician").role == "physician"


@pytest.mark.parametrize(
    ("name", "role", "passphrase", "demo"),
    [
        ("Bo Short", "physician", "123456789", False),
        ("Bo Long", "physician", "x" * 257, False),
        ("B", "physician", PASSPHRASE, False),
        ("x" * 65, "physician", PASSPHRASE, False),
        ("two\nlines", "physician", PASSPHRASE, False),
        ("back\\slash", "physician", PASSPHRASE, False),
        ("Bo Nurse", "nurse", PASSPHRASE, False),
        ("Bo Demo", "demo", "demo", True),
        ("DEMO physician", "physician", "demo", True),
        ("DEMO physician", "demo", "", True),
        ("Demo Bo", "physician", PASSPHRASE, False),
        ("Bo Fake", "demo", PASSPHRASE, False),
        ("Bo Surrogate", "physician", "\ud800" * 10, False),
    ],
)
def test_what_is_not_acceptable_is_refused_and_leaves_nothing(
    tmp_path: Path, name: str, role: str, passphrase: str, demo: bool
) -> None:
    store = IdentityStore(tmp_path, scrypt_n=CHEAP)
    with pytest.raises(ApprovalError):
        store.create(name, role, passphrase, demo=demo)
    assert store.list() == ()


@given(name=st.text(max_size=80))
@settings(max_examples=150, deadline=None)
def test_no_name_leaves_the_folder(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    folder = tmp_path_factory.getbasetemp() / "names" / "identities"
    store = IdentityStore(folder)
    assert store._file(name).parent == folder
    assert store._file(name).name.endswith(".json")
    with pytest.raises(ApprovalError):
        store.find(name)


def test_an_edited_role_makes_the_key_unusable(store: IdentityStore, tmp_path: Path) -> None:
    physicist = store.create("Max Physicist", "physicist", PASSPHRASE)
    file = store._file("Max Physicist")
    file.write_text(file.read_text().replace('"physicist"', '"physician"'))
    assert store.find("Max Physicist").role == "physician"
    with pytest.raises(ApprovalError, match="wrong"):
        store.sign("Max Physicist", PASSPHRASE, SHOWN)
    assert physicist.unseal(PASSPHRASE) is not None


@pytest.mark.parametrize("content", [b"", b"{}", b"not json", b"\xff\xfe"])
def test_a_damaged_file_is_named(store: IdentityStore, tmp_path: Path, content: bytes) -> None:
    (file,) = (tmp_path / "identities").glob("*.json")
    file.write_bytes(content)
    with pytest.raises(ApprovalError, match=file.name):
        store.list()


def test_a_file_under_another_name_is_refused(store: IdentityStore, tmp_path: Path) -> None:
    (file,) = (tmp_path / "identities").glob("*.json")
    file.rename(store._file("Eve Other"))
    with pytest.raises(ApprovalError, match="does not belong"):
        store.find("Eve Other")


def test_the_same_passphrase_typed_decomposed_is_accepted(tmp_path: Path) -> None:
    person = Person.create("Zoë Physician", "physician", "Schl\u00fcsselwort", demo=False, scrypt_n=CHEAP)
    assert person.unseal("Schlu\u0308sselwort") is not None
    assert person.unseal("Schlusselwort") is None


def test_five_wrong_passphrases_lock_and_the_right_one_does_not_open(store: IdentityStore, tmp_path: Path) -> None:
    said = fail(store, ATTEMPTS_ALLOWED)
    assert ["4 attempts remain" in said[0], "locked now" in said[-1]] == [True, True]
    with pytest.raises(ApprovalError, match="locked for 15 more minutes"):
        store.sign("Ada Physician", PASSPHRASE, SHOWN)
    with pytest.raises(ApprovalError, match="locked"):
        IdentityStore(tmp_path / "identities").sign("Ada Physician", PASSPHRASE, SHOWN)


def test_the_right_passphrase_clears_the_count(store: IdentityStore) -> None:
    for _ in range(3):
        fail(store, ATTEMPTS_ALLOWED - 1)
        store.sign("Ada Physician", PASSPHRASE, SHOWN)


def test_the_lock_is_one_persons_only(store: IdentityStore) -> None:
    store.create("Bo Physician", "physician", PASSPHRASE)
    fail(store, ATTEMPTS_ALLOWED)
    assert store.sign("Bo Physician", PASSPHRASE, SHOWN).approver == "Bo Physician"


def test_the_lock_ends_after_its_time(store: IdentityStore, monkeypatch: pytest.MonkeyPatch) -> None:
    fail(store, ATTEMPTS_ALLOWED)
    locked_at = time.time()
    monkeypatch.setattr(attempts.time, "time", lambda: locked_at + LOCKED_FOR_S - 5)
    with pytest.raises(ApprovalError, match="locked for 1 more"):
        store.sign("Ada Physician", PASSPHRASE, SHOWN)
    monkeypatch.setattr(attempts.time, "time", lambda: locked_at + LOCKED_FOR_S)
    assert "4 attempts remain" in fail(store, 1)[0]
    store.sign("Ada Physician", PASSPHRASE, SHOWN)


def test_a_clock_set_back_neither_opens_nor_locks_for_ever(
    store: IdentityStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(store, ATTEMPTS_ALLOWED)
    past = time.time() - 365 * 86400
    monkeypatch.setattr(attempts.time, "time", lambda: past)
    with pytest.raises(ApprovalError, match="locked for 15"):
        store.sign("Ada Physician", PASSPHRASE, SHOWN)
    monkeypatch.setattr(attempts.time, "time", lambda: past + LOCKED_FOR_S + 1)
    store.sign("Ada Physician", PASSPHRASE, SHOWN)


def test_a_damaged_counter_fails_closed(store: IdentityStore) -> None:
    store._file("Ada Physician").with_suffix(".attempts").write_text("{}}")
    with pytest.raises(ApprovalError, match="administrator"):
        store.sign("Ada Physician", PASSPHRASE, SHOWN)


def test_a_process_killed_while_it_tries_has_spent_its_attempt(store: IdentityStore, tmp_path: Path) -> None:
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom appliance.approval import IdentityStore, Person\n"
        "from appliance.contracts import Shown\n"
        "Person.unseal = lambda *_: os.kill(os.getpid(), 9)\n"
        "IdentityStore(Path(sys.argv[1])).sign('Ada Physician', 'guess number one', Shown('', '', '', '', ''))\n"
    )
    for _ in range(2):
        killed = subprocess.run([sys.executable, "-c", code, str(tmp_path / "identities")], check=False)
        assert killed.returncode == -9
    assert "2 attempts remain" in fail(store, 1)[0]
