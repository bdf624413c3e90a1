"""An approval holds for exactly what was shown, by exactly who signed."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from appliance.approval import IdentityStore, approval_bytes, verify_approval
from appliance.contracts import Approval, Shown
from appliance.errors import ApprovalError

PASSPHRASE = "correct horse battery"
SHOWN = Shown(
    session_id="s1", case_digest="1" * 64, plan_digest="2" * 64, dose_digest="3" * 64, evaluation_digest="4" * 64
)


@pytest.fixture
def store(tmp_path: Path) -> IdentityStore:
    store = IdentityStore(tmp_path, scrypt_n=2**10)
    store.create("Ada Physician", "physician", PASSPHRASE)
    store.create("Max Physicist", "physicist", PASSPHRASE)
    store.create("DEMO physician", "demo", "demo", demo=True)
    return store


@pytest.fixture
def approval(store: IdentityStore) -> Approval:
    return store.sign("Ada Physician", PASSPHRASE, SHOWN)


def test_a_physicians_approval_holds_also_after_storing(store: IdentityStore, approval: Approval) -> None:
    verify_approval(approval, store)
    verify_approval(Approval.from_json(approval.to_json()), store)
    assert (approval.approver, approval.role, approval.is_demo, approval.shown) == (
        "Ada Physician",
        "physician",
        False,
        SHOWN,
    )


def test_the_signed_bytes_are_the_documented_ones(approval: Approval) -> None:
    content = {
        "shown": approval.shown.digest,
        "approver": "Ada Physician",
        "role": "physician",
        "approved_at": approval.approved_at,
        "is_demo": False,
    }
    signed = b"couchside approval v1\n" + json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    assert approval_bytes(approval) == signed
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(approval.public_key))
    key.verify(bytes.fromhex(approval.signature), signed)


@pytest.mark.parametrize("field", [field.name for field in fields(Shown)])
def test_anything_else_shown_is_not_approved(store: IdentityStore, approval: Approval, field: str) -> None:
    other = replace(approval, shown=replace(SHOWN, **{field: "5" * 64}))
    with pytest.raises(ApprovalError, match="does not fit"):
        verify_approval(other, store)


@pytest.mark.parametrize(
    "change",
    [
        {"approver": "Max Physicist"},
        {"approver": "Nobody Known"},
        {"approver": "ada physician"},
        {"role": "demo"},
        {"is_demo": True},
        {"approved_at": "2020-01-01T00:00:00.000+00:00"},
        {"approved_at": "yesterday"},
        {"approved_at": "2020-01-01T00:00:00.000"},
        {"signature": "00" * 64},
        {"signature": ""},
        {"signature": "no hex"},
        {"public_key": "00" * 32},
    ],
    ids=str,
)
def test_any_changed_field_is_refused(store: IdentityStore, approval: Approval, change: dict) -> None:
    with pytest.raises(ApprovalError):
        verify_approval(replace(approval, **change), store)


def test_a_signature_by_an_unregistered_key_is_refused(store: IdentityStore, approval: Approval) -> None:
    key = Ed25519PrivateKey.generate()
    forged = replace(approval, public_key=key.public_key().public_bytes_raw().hex())
    forged = replace(forged, signature=key.sign(approval_bytes(forged)).hex())
    with pytest.raises(ApprovalError, match="another key"):
        verify_approval(forged, store)


def test_a_physicist_may_not_approve_even_with_a_good_signature(store: IdentityStore) -> None:
    with pytest.raises(ApprovalError, match="only a physician"):
        store.sign("Max Physicist", PASSPHRASE, SHOWN)
    person = store.find("Max Physicist")
    key = person.unseal(PASSPHRASE)
    assert key is not None
    unsigned = Approval(SHOWN, person.name, person.role, person.public_key, "", "2026-01-01T00:00:00.000+00:00")
    with pytest.raises(ApprovalError, match="only a physician"):
        verify_approval(replace(unsigned, signature=key.sign(approval_bytes(unsigned)).hex()), store)


def test_the_demos_approval_is_marked_and_the_mark_cannot_be_taken_off(store: IdentityStore) -> None:
    approval = store.sign("DEMO physician", "demo", SHOWN)
    verify_approval(approval, store)
    assert approval.is_demo
    assert approval.approver.startswith("DEMO")
    with pytest.raises(ApprovalError):
        verify_approval(replace(approval, is_demo=False), store)


def test_an_approval_of_another_register_is_refused(approval: Approval, tmp_path: Path) -> None:
    other = IdentityStore(tmp_path / "other", scrypt_n=2**10)
    with pytest.raises(ApprovalError, match="registered"):
        verify_approval(approval, other)
    other.create("Ada Physician", "physician", PASSPHRASE)
    with pytest.raises(ApprovalError, match="another key"):
        verify_approval(approval, other)
