"""A plan that no second calculation agrees with: shown, refused without a reason, approved with one that is signed."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pydicom
import pytest

from appliance.approval import verify_approval
from appliance.case import read_dose
from appliance.config import PlanningConfig
from appliance.contracts import SECOND_DOSE_FILE, Approval, CalculatedDose, Case, Plan, SecondCheck
from appliance.contracts.progress import Progress
from appliance.errors import ApprovalError, NotAcknowledged
from appliance.session import Session, State
from appliance.session_second import second_check
from engines.grid import VoxelSet

from .conftest import PASSPHRASE, PHYSICIAN, Desk
from .standin import agreed

WHY = "the lung was outlined too large; measured in the phantom"


def disagreed(case: Case, plan: Plan, dose: CalculatedDose, progress: Progress) -> tuple[SecondCheck, None]:
    found, _ = agreed(case, plan, dose, progress)
    return replace(found, agrees=False, sentences=("91.0 % of 9 points pass, below the tolerance limit",)), None


def doubted(desk: Desk) -> Session:
    session = desk.session(replace(desk.stages, second_check=disagreed))
    session.run()
    assert session.state is State.IN_REVIEW
    return session


@pytest.mark.parametrize("reason", ["", "   "])
def test_it_is_not_approved_without_a_reason(desk: Desk, reason: str) -> None:
    session = doubted(desk)
    with pytest.raises(NotAcknowledged, match=r"below the tolerance limit.*--acknowledge") as refused:
        session.approve(PHYSICIAN, PASSPHRASE, reason)
    assert refused.value.exit_code == ApprovalError.exit_code
    assert session.state is State.IN_REVIEW
    [row] = desk.rows("approval.refused")
    assert "below the tolerance limit" in str(row.data["reason"])


def test_the_reason_is_recorded_signed_and_exported_after(desk: Desk) -> None:
    session = doubted(desk)
    approval = session.approve(PHYSICIAN, PASSPHRASE, f"  {WHY} ")
    assert approval.acknowledged == WHY
    row = desk.rows("session.transition")[-1]
    assert row.data["facts"]["acknowledged"] == WHY  # type: ignore[index,call-overload]
    stored = Approval.from_json(session.files.load("approval.json"))
    verify_approval(stored, desk.identities)
    for forged in (replace(stored, acknowledged=""), replace(stored, acknowledged="another reason")):
        with pytest.raises(ApprovalError, match="signature"):
            verify_approval(forged, desk.identities)
    session.run()
    assert session.state is State.EXPORTED


def test_a_plan_that_is_agreed_with_needs_none(desk: Desk) -> None:
    session = desk.session()
    session.run()
    approval = session.approve(PHYSICIAN, PASSPHRASE)
    assert approval.acknowledged == ""


def test_the_second_check_is_part_of_what_is_shown_and_bound(desk: Desk) -> None:
    """Another finding is another evaluation, so another `Shown`: an approval of one is none of the other."""
    session = doubted(desk)
    evaluation = session.files.evaluation()
    assert evaluation.second_check is not None and evaluation.needs_acknowledgement
    other = replace(evaluation, second_check=replace(evaluation.second_check, agrees=True))
    assert session.shown().evaluation_digest == evaluation.digest != other.digest
    card = json.loads(session.files.load("scorecard.json"))
    assert card["second_check"]["agrees"] is False
    assert card["second_check"]["sentences"] == list(evaluation.second_check.sentences)
    report = session.files.load("report.html").decode()
    assert "does not agree" in report and "below the tolerance limit" in report
    assert session.standing.summary()["second_check_agrees"] is False


def test_an_evaluation_without_a_second_check_needs_a_reason_too(desk: Desk) -> None:
    session = desk.session()
    session.run()
    assert replace(session.files.evaluation(), second_check=None).needs_acknowledgement


def test_the_real_check_says_what_it_lacks_or_compares(desk: Desk) -> None:
    """The stand-in's dose, 20.5 Gy everywhere, is no dose of its plan: no calculation may agree with it."""
    session = desk.session()
    session.run()
    case, plan, dose = session.case()[0], session.files.plan(), session.files.dose()
    found, none = second_check(PlanningConfig(), case, plan, dose, lambda step, done: None)
    assert not found.agrees and found.sentences[0]
    assert (none is None) is not found.available
    by_cone = replace(dose, algorithm="Couchside collapsed cone 1")
    compared, second = second_check(PlanningConfig(), case, plan, by_cone, lambda step, done: None)
    assert compared.available and not compared.agrees and "pencil beam" in compared.secondary
    assert compared.gamma_pass_percent < 50.0
    assert second is not None and second.digest == compared.secondary_digest
    empty = VoxelSet(case.external.voxels.index[:0], case.external.voxels.fraction[:0])
    nowhere = replace(case, structures=tuple(replace(item, voxels=empty) for item in case.structures))
    assert not second_check(PlanningConfig(), nowhere, plan, by_cone, lambda step, done: None)[0].available


def test_the_second_dose_is_kept_named_and_written_beside_the_export_set_but_not_sent(desk: Desk) -> None:
    """It survives a restart before the export, references the exported plan, and is what the check compared with."""

    def halved(case: Case, plan: Plan, dose: CalculatedDose, progress: Progress) -> tuple[SecondCheck, CalculatedDose]:
        second = replace(dose, dose_gy=dose.dose_gy * np.float32(0.5), algorithm="another")
        found, _ = agreed(case, plan, dose, progress)
        named = replace(found, secondary_digest=second.digest, secondary_file=SECOND_DOSE_FILE)
        return named, second

    stages = replace(desk.stages, second_check=halved)
    session = desk.session(stages)
    session.run()
    session.approve(PHYSICIAN, PASSPHRASE)
    again = desk.reopen(stages)
    again.run()
    assert again.state is State.EXPORTED
    [sent] = desk.sent
    assert SECOND_DOSE_FILE not in [path.name for path in sent]
    check = again.files.evaluation().second_check
    second = again.files.second_dose()
    assert check is not None and second is not None
    assert (check.secondary_file, check.secondary_digest) == (SECOND_DOSE_FILE, second.digest)
    written = pydicom.dcmread(again.files.folder / "export" / SECOND_DOSE_FILE)
    first = pydicom.dcmread(sent[1])
    assert written.SOPInstanceUID != first.SOPInstanceUID
    assert written.ReferencedRTPlanSequence == first.ReferencedRTPlanSequence
    assert written.SeriesDescription == "Second calculation, another"
    grid, dose_gy = read_dose(again.files.folder / "export" / SECOND_DOSE_FILE)
    assert dose_gy.max() == pytest.approx(0.5 * read_dose(sent[1])[1].max(), rel=1e-4)
    assert grid.spacing_mm == second.grid.spacing_mm
    assert "export/RD_second.dcm" in again.standing.artefacts
