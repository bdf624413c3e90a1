"""How the demo pushes its case: each object until it is stored, and an answer that never came is not one."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ImplicitVRLittleEndian

from appliance.cli.demo_peer import ATTEMPTS, push
from appliance.contracts.progress import silent
from appliance.dicomio.files import new_uid
from appliance.errors import NodeError

from ..export.peers import RT_DOSE, RT_PLAN, RT_STRUCTURES, ScriptedPeer

KINDS = (RT_STRUCTURES, RT_PLAN, RT_DOSE)
SOON_S = 0.3


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, ...]:
    written = []
    for kind in KINDS:
        dataset, meta = Dataset(), FileMetaDataset()
        dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.PatientID = kind, new_uid(), "DEMO"
        meta.TransferSyntaxUID = ImplicitVRLittleEndian
        dataset.file_meta = meta
        path = tmp_path / f"{len(written)}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        written.append(path)
    return tuple(written)


def pushed(peer: ScriptedPeer, files: tuple[Path, ...]) -> list[str]:
    with peer.running() as port:
        push(files, port, "SCRIPTED", silent, answer_s=SOON_S)
    return peer.calls


def test_every_object_is_stored_once(files: tuple[Path, ...]) -> None:
    assert pushed(ScriptedPeer(), files) == list(KINDS)


@pytest.mark.parametrize("lost", [None, 4 * SOON_S], ids=["broken off", "silent"])
def test_an_object_without_an_answer_is_sent_again(lost: float | None, files: tuple[Path, ...]) -> None:
    """Before, the empty status of a lost answer was read as 0x0000 and called a refusal."""
    assert pushed(ScriptedPeer(0x0000, lost), files) == [RT_STRUCTURES, RT_PLAN, RT_PLAN, RT_DOSE]


def test_a_peer_that_never_answers_is_given_up_in_words(files: tuple[Path, ...]) -> None:
    peer = ScriptedPeer(*[None] * 9)
    with pytest.raises(NodeError, match=rf"no answer to 0\.dcm, {ATTEMPTS} times"):
        pushed(peer, files)
    assert peer.calls == [RT_STRUCTURES] * ATTEMPTS


def test_a_refusal_is_not_tried_again_and_told_with_its_status(files: tuple[Path, ...]) -> None:
    peer = ScriptedPeer(0x0000, 0xC123)
    with pytest.raises(NodeError, match=r"1\.dcm with status 0xC123"):
        pushed(peer, files)
    assert peer.calls == [RT_STRUCTURES, RT_PLAN]
