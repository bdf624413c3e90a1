"""The type checker, not a habit, keeps a predicted dose away from whatever approves, signs or exports."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy")

ROOT = Path(__file__).resolve().parents[2]
HEAD = """
from pathlib import Path
from appliance.contracts import (
    Approval, CalculatedDose, Case, ExportSet, GoalSet, Plan, PlanFacts, Planned, PredictedDose, Shown,
)
from appliance.evaluation import evaluate
from appliance.export import write_export_set, write_second_dose, write_unapproved_set
from appliance.session_artefacts import Artefacts
from appliance.session_stages import Stages
from appliance.case import read_dose

def hand_over(
    case: Case, goals: GoalSet, plan: Plan, facts: PlanFacts, approval: Approval, files: Artefacts, stages: Stages,
    written: ExportSet, folder: Path, dose: {kind},
) -> None:
"""
PLACES = (
    "write_export_set(case, plan, dose, approval, folder)",
    "write_unapproved_set(case, plan, dose, folder)",
    "write_second_dose(case, dose, written, read_dose=read_dose)",
    "stages.write_export_set(case, plan, dose, approval, folder)",
    "stages.read_back(written, case, plan, dose)",
    "stages.evaluate(case, goals, dose, facts)",
    "stages.second_check(case, plan, dose, lambda step, part: None)",
    "files.save_plan(plan, dose)",
    "evaluate(case, goals, dose, facts)",
    "Planned(plan, dose)",
    "Shown('s', case.digest, plan.digest, dose.digest, 'e')",
)
"""Where a dose on its way to a patient is handed over."""


def complaints(kind: str, folder: Path) -> set[str]:
    """The places that the type checker refuses for a dose of this kind."""
    head = HEAD.format(kind=kind)
    path = folder / f"{kind}.py"
    path.write_text(head + "".join(f"    {place}\n" for place in PLACES))
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--config-file=",
        "--strict",
        "--follow-imports=silent",
        "--no-error-summary",
    ]
    done = subprocess.run([*command, str(path)], cwd=ROOT, capture_output=True, text=True, check=False)
    found = [int(line) for line in re.findall(r"\.py:(\d+): error", done.stdout)]
    first = head.count("\n") + 1
    assert all(line >= first for line in found), done.stdout + done.stderr
    assert done.returncode == bool(found), done.stdout + done.stderr
    return {PLACES[line - first] for line in found}


@pytest.mark.slow
def test_only_a_calculated_dose_gets_anywhere(tmp_path: Path) -> None:
    assert complaints("CalculatedDose", tmp_path) == set()
    assert complaints("PredictedDose", tmp_path) == set(PLACES)
