"""A guideline package is read only if it is whole, signed by a trusted key, and says what it may."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.errors import RefusedPackage
from appliance.evaluation.goal_files import parse_goal_set
from appliance.evaluation.guidelines.decision import Decision, read_decisions
from appliance.evaluation.guidelines.diff import diff
from appliance.evaluation.guidelines.package import Package, read_package, sign_package

from .clinic_package import GOALS, public, write_package

Written = Callable[..., Path]


@pytest.fixture
def key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


@pytest.fixture
def read(tmp_path: Path, key: Ed25519PrivateKey) -> Callable[..., Package]:
    def make(name: str = "clinic", **facts: object) -> Package:
        return read_package(write_package(tmp_path / name, key, **facts), [public(key)])

    return make


def test_a_signed_package_is_read_whole(read: Callable[..., Package]) -> None:
    package = read()
    assert (package.manifest.name, package.manifest.version, package.signer) == ("clinic", "1.0.0", "Our clinic")
    assert [str(goal) for goal in package.goal_sets[0].goals] == ["PTV D50% >= 15 Gy", "Core Mean <= 18 Gy"]
    assert package.goal_sets[0].guideline == package.source


def test_the_list_of_files_is_what_sha256sum_checks(tmp_path: Path, key: Ed25519PrivateKey) -> None:
    folder = write_package(tmp_path / "clinic", key)
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=folder, check=True, capture_output=True)


@pytest.mark.parametrize("name", ["goals/small.toml", "package.toml"])
def test_one_changed_byte_is_found_and_named(tmp_path: Path, key: Ed25519PrivateKey, name: str) -> None:
    folder = write_package(tmp_path / "clinic", key)
    data = bytearray((folder / name).read_bytes())
    data[-2] ^= 1
    (folder / name).write_bytes(bytes(data))
    with pytest.raises(RefusedPackage, match=rf"{name} was changed since it was signed.*Ask its author"):
        read_package(folder, [public(key)])


@pytest.mark.parametrize("name", ["goals/small.toml", "package.toml", "SHA256SUMS", "signature.toml"])
def test_no_flipped_bit_goes_unseen(tmp_path: Path, key: Ed25519PrivateKey, name: str) -> None:
    """Every seventh byte of each file, one bit at a time."""
    folder = write_package(tmp_path / "clinic", key)
    whole = (folder / name).read_bytes()
    read_package(folder, [public(key)])
    for place in range(0, len(whole), 7):
        data = bytearray(whole)
        data[place] ^= 1 << (place % 7)
        (folder / name).write_bytes(bytes(data))
        with pytest.raises(RefusedPackage):
            read_package(folder, [public(key)])


def test_a_list_made_to_fit_a_changed_file_has_no_signature(tmp_path: Path, key: Ed25519PrivateKey) -> None:
    folder = write_package(tmp_path / "clinic", key)
    signature = (folder / "signature.toml").read_bytes()
    goals = folder / "goals" / "small.toml"
    goals.write_text(goals.read_text().replace("limit = 18.0", "limit = 81.0"))
    sign_package(folder, Ed25519PrivateKey.generate())
    (folder / "signature.toml").write_bytes(signature)
    with pytest.raises(RefusedPackage, match="signature does not fit its list of files"):
        read_package(folder, [public(key)])


def test_an_unknown_key_is_refused_with_its_first_digits(tmp_path: Path, key: Ed25519PrivateKey) -> None:
    folder = write_package(tmp_path / "clinic", key)
    digits = key.public_key().public_bytes_raw().hex()
    with pytest.raises(RefusedPackage, match=r"a key that is not trusted here.*guidelines trust") as refusal:
        read_package(folder, [public(Ed25519PrivateKey.generate())])
    assert f"{digits[:4]} {digits[4:8]}" in str(refusal.value)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda folder: (folder / "signature.toml").unlink(), "it is not signed"),
        (lambda folder: (folder / "goals" / "small.toml").unlink(), "goals/small.toml is missing"),
        (lambda folder: (folder / "goals" / "more.toml").write_text(""), "goals/more.toml is not listed"),
        (lambda folder: (folder / "run.sh").write_text("true"), "run.sh does not belong in it"),
        (lambda folder: (folder / "goals" / "x.toml").symlink_to(folder / "package.toml"), "does not belong in it"),
        (lambda folder: (folder / "package.toml").unlink(), "it has no package.toml"),
    ],
)
def test_nothing_may_be_missing_or_added(tmp_path: Path, key: Ed25519PrivateKey, spoil, told: str) -> None:
    folder = write_package(tmp_path / "clinic", key)
    spoil(folder)
    with pytest.raises(RefusedPackage, match=told):
        read_package(folder, [public(key)])


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"version": "1.0"}, "package.toml, version"),
        ({"version": "01.0.0"}, "package.toml, version"),
        ({"valid_until": "2025-12-31"}, "valid_until lies before valid_from"),
        ({"goals": GOALS.replace('source = "Our own choice for a test"', "")}, "source: Field required"),
        ({"goals": GOALS.replace('metric = "Mean"', 'metric = "EUD"')}, "'EUD' is not a known metric"),
        ({"goals": GOALS.replace('name = "small"', 'name = "other"')}, "is called 'other' inside"),
    ],
)
def test_what_is_wrong_is_not_signed_at_all(tmp_path: Path, key: Ed25519PrivateKey, facts, told: str) -> None:
    with pytest.raises(RefusedPackage, match=told):
        write_package(tmp_path / "clinic", key, **facts)


def test_validity_is_judged_by_the_day(read: Callable[..., Package]) -> None:
    package = read(valid_from="2026-03-01", valid_until="2026-04-30")
    assert package.expired(date(2026, 3, 1)) == package.expired(date(2026, 4, 30)) == ""
    assert package.expired(date(2026, 2, 28)) == "it is valid only from 2026-03-01"
    assert package.expired(date(2026, 5, 1)) == "its validity ended on 2026-04-30"


def test_a_session_keeps_the_package_in_its_copy_of_the_goals(read: Callable[..., Package]) -> None:
    package = read()
    kept = parse_goal_set(package.goal_file("small"), "goals.toml")
    assert kept.guideline == package.source
    assert kept.digest == package.goal_sets[0].digest
    assert "guideline package clinic 1.0.0 (signed by Our clinic" in kept.notes[0]


def test_a_diff_says_it_in_words_and_numbers(read: Callable[..., Package]) -> None:
    old, new = read("old", core_gy=45.0), read("new", core_gy=48.0, priority=1, version="2.0.0")
    limit, priority = diff(old, new)
    assert limit.text == "Core Mean, upper limit 45 → 48 Gy (+6.7 %), easier to meet"
    assert (limit.before, limit.after, limit.stricter) == (45.0, 48.0, False)
    assert limit.percent == pytest.approx(100 * 3 / 45)
    assert priority.text == "Core Mean, upper limit: priority 2 → 1, more important"
    assert diff(old, old) == ()


def test_a_diff_names_goals_that_come_and_go(read: Callable[..., Package]) -> None:
    old, new = read("old"), read("new", goals=GOALS.replace('metric = "Mean"', 'metric = "Max"'), version="2.0.0")
    assert {(change.kind, change.text) for change in diff(old, new)} == {
        ("removed", "goal removed: Core Mean <= 18 Gy (priority 2)"),
        ("added", "goal added: Core Max <= 18 Gy (priority 2)"),
    }
    assert {(change.kind, change.stricter) for change in diff(old, new)} == {("removed", False), ("added", True)}


def _decision(number: int) -> Decision:
    return Decision(
        number=number, kind="activate", name="clinic", version="1.0.0", digest="0" * 64, person="A", role="physician",
        at="2026-01-01T00:00:00+00:00",
    )  # fmt: skip


def test_a_decision_taken_out_of_the_list_is_missed() -> None:
    lines = b"".join(_decision(number).to_line() for number in (1, 3))
    with pytest.raises(RefusedPackage, match="decision 2 is missing"):
        read_decisions(lines, lambda _: None)


def test_a_torn_last_line_is_no_decision_and_a_damaged_one_is_refused() -> None:
    line = _decision(1).to_line()
    assert read_decisions(line + line[:20], lambda _: None) == (_decision(1),)
    with pytest.raises(RefusedPackage, match="line 1 is not a decision"):
        read_decisions(line[3:], lambda _: None)
