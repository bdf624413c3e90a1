"""`couchside demo` as anybody runs it, only coarser: a built-in case, the real planner, DICOM over loopback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pydicom
import pytest

from appliance.case import read_plan
from appliance.cli.demo import IDENTITY

COARSE = "[planning]\nbeams = 3\nbeamlet_mm = 10.0\ndose_grid_mm = 6.0\nsegments_per_beam = 2\n"


@pytest.mark.slow
def test_the_demo_leaves_what_it_promises(tmp_path: Path) -> None:
    config, out = tmp_path / "coarse.toml", tmp_path / "out"
    config.write_text(COARSE, "utf-8")
    command = [sys.executable, "-m", "appliance", "demo", "--out", str(out), "--config", str(config), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    document = json.loads(done.stdout)
    assert {path.name for path in out.iterdir()} == {
        "RP.dcm",
        "RD.dcm",
        "RS.dcm",
        "RD_second.dcm",
        "scorecard.json",
        "scheduled-scorecard.json",
        "timeline.json",
        "story.json",
        "report.html",
        "goals.toml",
        "anatomy.json",
        "contours.html",
        "REG.dcm",
        "DEFORM.dcm",
        "audit.jsonl",
        "evaluation.html",
        "evaluation.pdf",
        "DOC_evaluation.dcm",
        "SR_evaluation.dcm",
    }
    assert document["arrived_as_sent"] and document["audit_whole"]
    assert (document["approved_by"], document["not_for_clinical_use"]) == (IDENTITY, True)
    _check_plan(out)
    _check_scores(document)
    _check_record(out)


def _event(row: dict[str, object]) -> object:
    data = row["data"]
    return data.get("event") if isinstance(data, dict) else None


def _check_plan(out: Path) -> None:
    """Approved by the demo's own identity and nobody else; adapted from the plan that was sent along."""
    plan = pydicom.dcmread(out / "RP.dcm")
    assert plan.ApprovalStatus == "APPROVED"
    assert str(plan.ReviewerName).startswith("DEMO")
    assert len(plan.ReferencedRTPlanSequence) == 1
    assert len(read_plan(out / "RP.dcm").beams) == 3
    assert pydicom.dcmread(out / "RD.dcm").ReferencedRTPlanSequence[0].ReferencedSOPInstanceUID == plan.SOPInstanceUID


def _check_scores(document: dict[str, dict[str, object]]) -> None:
    adapted, scheduled = document["scorecard"], document["scheduled_scorecard"]
    assert [goal["structure"] for goal in adapted["goals"]] == ["PTV", "PTV", "Core"]  # type: ignore[index,union-attr]
    assert adapted["plan"]["deliverable"] is True  # type: ignore[index]
    assert len(adapted["robustness"]["goals"]) >= 3  # type: ignore[index,arg-type]
    assert all(0 <= goal["chance_met"] <= 1 for goal in adapted["robustness"]["goals"])  # type: ignore[index,union-attr]
    told = {(one["structure"], one["state"]) for one in adapted["explanations"]}  # type: ignore[union-attr]
    missed = {(goal["structure"], "failed") for goal in adapted["goals"] if not goal["met"]}  # type: ignore[union-attr]
    assert missed <= told
    assert adapted["digests"]["plan"] != scheduled["digests"]["plan"]  # type: ignore[index]
    assert adapted["digests"]["goal_set"] == scheduled["digests"]["goal_set"]  # type: ignore[index]


def _check_record(out: Path) -> None:
    timeline = json.loads((out / "timeline.json").read_bytes())
    assert [entry["stage"] for entry in timeline["stages"]] == [
        "waiting for image",
        "assembling",
        "contour review",
        "predicting",
        "planning",
        "evaluating",
        "in review",
        "approved",
        "exporting",
    ]
    assert timeline["last_object_to_export_s"] > 0
    lines = [json.loads(line) for line in (out / "audit.jsonl").read_text("utf-8").splitlines()]
    assert lines[0]["verified"] is True
    confirmed = [
        row["data"]["facts"] for row in lines if row.get("kind") == "row" and _event(row) == "confirm contours"
    ]
    assert [len(bytes.fromhex(facts["contours_signature"])) for facts in confirmed] == [64]
    approved = [row for row in lines if row.get("kind") == "row" and row["data"].get("to") == "approved"]
    assert [row["data"]["facts"]["demo_identity"] for row in approved] == [True]
