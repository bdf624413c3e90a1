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


def complaints(kinds: tuple[str, ...], folder: Path) -> list[set[str]]:
    """For a dose of each kind, the places that the type checker refuses. One run of it for all of them."""
    heads = {f"{kind}.py": HEAD.format(kind=kind) for kind in kinds}
    for name, head in heads.items():
        (folder / name).write_text(head + "".join(f"    {place}\n" for place in PLACES))
    options = ("--config-file=", "--strict", "--follow-imports=silent", "--no-error-summary")
    command = [sys.executable, "-m", "mypy", *options, *(str(folder / name) for name in heads)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found: dict[str, set[str]] = {name: set() for name in heads}
    for path, line in re.findall(r"(\S+\.py):(\d+): error", done.stdout):
        name = Path(path).name
        first = heads[name].count("\n") + 1
        assert int(line) >= first, done.stdout + done.stderr
        found[name].add(PLACES[int(line) - first])
    assert done.returncode == any(found.values()), done.stdout + done.stderr
    return list(found.values())


@pytest.mark.slow
def test_only_a_calculated_dose_gets_anywhere(tmp_path: Path) -> None:
    calculated, predicted = complaints(("CalculatedDose", "PredictedDose"), tmp_path)
    assert calculated == set()
    assert predicted == set(PLACES)
