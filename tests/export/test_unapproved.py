"""A plan nobody approved can be written to look at; it says so itself, and it cannot be sent."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest

from appliance.config import PeerConfig
from appliance.errors import NotApproved
from appliance.export import read_back, send, write_unapproved_set

from .conftest import Approved, read_dose, read_plan


def test_the_plan_says_unapproved_and_reads_back_and_is_never_sent(approved: Approved, tmp_path: Path) -> None:
    written = write_unapproved_set(approved.case, approved.plan, approved.dose, tmp_path)
    read_back(written, approved.case, approved.plan, approved.dose, read_plan=read_plan, read_dose=read_dose)
    plan = pydicom.dcmread(written.plan)
    assert plan.ApprovalStatus == "UNAPPROVED"
    assert "ReviewerName" not in plan
    with pytest.raises(NotApproved):
        send(written, PeerConfig(port=1, attempts=1), calling_ae="COUCHSIDE")
