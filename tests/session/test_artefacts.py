"""What a session stores of a dose comes back as it was, what is said about the dose included."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from appliance.contracts import CalculatedDose, Plan
from appliance.session_artefacts import Artefacts
from engines.grid import Grid

GRID = Grid((1.0, -2.0, 3.5), (2.0, 2.5, 3.0), (2, 3, 4))
GY = np.linspace(0, 50, 24, dtype=np.float32).reshape(GRID.shape)
DOSE = CalculatedDose(GRID, GY, "p", "pencil", "6mv", (GY / 2, GY / 2))


@pytest.mark.parametrize(
    "dose",
    [
        DOSE,
        replace(DOSE, beam_dose_gy=(), transport="water, depth scaled", notes=("2.0 cc have above 1600 HU", "é")),
        replace(DOSE, dose_to="medium", density_overridden=True),
    ],
    ids=["plain", "with notes", "to medium"],
)
def test_a_dose_comes_back_with_its_medium_and_its_notes(dose: CalculatedDose, tmp_path: Path) -> None:
    known: dict[str, str] = {}
    artefacts = Artefacts(tmp_path / "session", tmp_path, lambda: known)
    (tmp_path / "session").mkdir()
    known.update(artefacts.save_plan(Plan("P", (), 1, "HFS"), dose))
    read = artefacts.dose()
    assert read.digest == dose.digest
    for name in (
        "grid",
        "plan_digest",
        "algorithm",
        "beam_model",
        "dose_to",
        "transport",
        "density_overridden",
        "notes",
    ):
        assert getattr(read, name) == getattr(dose, name), name
    assert len(read.beam_dose_gy) == len(dose.beam_dose_gy)


def test_what_a_dose_is_to_is_part_of_what_is_approved() -> None:
    assert replace(DOSE, dose_to="medium").digest != DOSE.digest
