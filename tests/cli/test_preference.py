"""`couchside preference`: from decisions to a candidate, its activation by a person, a watch, and back."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from appliance.approval import IdentityStore
from appliance.evaluation.preference.store import PreferenceStore

from ..evaluation.preference.simulated import SITES, clinic, draw_plan
from .conftest import Ran

Run = Callable[..., Ran]
PASSPHRASE = "a long enough passphrase"
CHIEF = "Dr Chief"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With decisions of a simulated clinic, and one registered person."""
    random, folder = np.random.default_rng(5), tmp_path / "store"
    people = clinic(random, 3)
    decided = [p.decide(draw_plan(random, list(SITES)[i % 3])) for p in people for i in range(60)]
    PreferenceStore(folder / "preference").record(decided, "test")
    IdentityStore(folder / "identities", scrypt_n=2**10).create(CHIEF, "physician", PASSPHRASE)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSPHRASE}\n" * 9))
    return folder


def asked(run: Run, *arguments: object) -> dict[str, object]:
    ran = run("preference", *arguments, "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert isinstance(found, dict)
    return found


def test_from_decisions_to_a_verdict_and_back(run: Run, store: Path) -> None:
    fitted = asked(run, "fit", "--store", store)
    assert fitted["decisions"] == 180
    assert set(fitted["changes"]) == {"modifications", "protocol", "impact"}  # type: ignore[call-overload]
    digest = str(fitted["digest"])
    assert asked(run, "show", "--store", store)["active"] == ""
    assert asked(run, "check", "--store", store) == {"active": ""}
    person = ("--identity", CHIEF, "--passphrase-stdin", "--store", store)
    assert asked(run, "activate", digest[:10], *person)["active"] == digest
    assert asked(run, "show", "--store", store)["active"] == digest
    watched = asked(run, "check", "--store", store)
    assert (watched["active"], watched["decisions"]) == (digest, 0)
    assert asked(run, "rollback", "--reason", "a test", *person)["active"] == ""


def test_people_read_tables(run: Run, store: Path) -> None:
    page = run("preference", "fit", "--store", store).out
    assert "1. What is modified" in page
    assert "2. How it was tested" in page
    assert "3. What it changes" in page
    digest = PreferenceStore(store / "preference").history()[-1].digest
    run("preference", "activate", digest, "--identity", CHIEF, "--passphrase-stdin", "--store", store)
    shown = run("preference", "show", "--store", store).out
    assert digest[:16] in shown
    assert "Dr Chief (physician)" in shown
    assert "Weights of the clinic" in run("preference", "show", digest[:8], "--store", store).out
    assert "Drift" in run("preference", "check", "--store", store).out


def test_a_wrong_passphrase_activates_nothing(run: Run, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = str(asked(run, "fit", "--store", store)["digest"])
    monkeypatch.setattr("sys.stdin", io.StringIO("another passphrase\n"))
    ran = run("preference", "activate", digest, "--identity", CHIEF, "--passphrase-stdin", "--store", store)
    assert ran.code == 7
    assert PreferenceStore(store / "preference").active() is None


def test_an_activation_that_nobody_signed_is_found(run: Run, store: Path) -> None:
    digest = str(asked(run, "fit", "--store", store)["digest"])
    PreferenceStore(store / "preference").activate(digest, f"{CHIEF} (physician)")
    ran = run("preference", "check", "--store", store)
    assert ran.code == 7
    assert "is not that of Dr Chief" in " ".join(ran.err.split())


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("fit", "--person", "nonsense"), 1, "does not say who a user is"),
        (("fit", "--person", "uid 1=Dr Nobody"), 7, "nobody called 'Dr Nobody' is registered"),
        (("fit", "--update"), 5, "no model is active"),
        (("show", "1234"), 5, "candidates begin with"),
        (("explain", "s-1"), 9, "no audit log"),
    ],
)
def test_refusals(run: Run, store: Path, arguments: tuple[str, ...], code: int, words: str) -> None:
    ran = run("preference", *arguments, "--store", store)
    assert ran.code == code, ran.err
    assert words in " ".join(ran.err.split())


def test_too_few_decisions_are_refused(run: Run, tmp_path: Path) -> None:
    ran = run("preference", "fit", "--store", tmp_path / "empty")
    assert ran.code == 5
    assert "too few to learn from" in " ".join(ran.err.split())
