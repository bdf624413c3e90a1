"""A person's signature under a statement that is no approval, such as the activation of a model."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from appliance.approval import ATTEMPTS_ALLOWED, IdentityStore, verify_endorsement
from appliance.errors import ApprovalError

PASSPHRASE = "correct horse battery"
STATEMENT = "activate preference model 1234"


@pytest.fixture
def store(tmp_path: Path) -> IdentityStore:
    store = IdentityStore(tmp_path, scrypt_n=2**10)
    store.create("Ada Physician", "physician", PASSPHRASE)
    store.create("Max Physicist", "physicist", PASSPHRASE)
    store.create("DEMO physician", "demo", "demo", demo=True)
    return store


@pytest.mark.parametrize("name", ["Ada Physician", "Max Physicist"])
def test_the_signature_holds_for_this_statement_and_person_alone(store: IdentityStore, name: str) -> None:
    person, signature = store.endorse(name, PASSPHRASE, STATEMENT)
    assert person.name == name
    verify_endorsement(STATEMENT, signature, person)
    other = store.find("Max Physicist" if name == "Ada Physician" else "Ada Physician")
    for statement, whose in ((STATEMENT + "5", person), (STATEMENT, other)):
        with pytest.raises(ApprovalError, match="is not that of"):
            verify_endorsement(statement, signature, whose)


def test_it_cannot_be_taken_for_an_approval(store: IdentityStore) -> None:
    person, signature = store.endorse("Ada Physician", PASSPHRASE, STATEMENT)
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(person.public_key))
    with pytest.raises(InvalidSignature):
        key.verify(bytes.fromhex(signature), b"couchside approval v1\n" + STATEMENT.encode())


def test_wrong_passphrases_are_counted_as_with_approvals(store: IdentityStore) -> None:
    for _ in range(ATTEMPTS_ALLOWED):
        with pytest.raises(ApprovalError, match="is wrong"):
            store.endorse("Ada Physician", "a wrong passphrase", STATEMENT)
    with pytest.raises(ApprovalError, match="locked"):
        store.endorse("Ada Physician", PASSPHRASE, STATEMENT)


def test_a_demo_identity_answers_for_nothing(store: IdentityStore) -> None:
    with pytest.raises(ApprovalError, match="demo identity"):
        store.endorse("DEMO physician", "demo", STATEMENT)


def test_a_signature_that_is_none_is_refused(store: IdentityStore) -> None:
    with pytest.raises(ApprovalError, match="is not that of"):
        verify_endorsement(STATEMENT, "no hex", store.find("Ada Physician"))
