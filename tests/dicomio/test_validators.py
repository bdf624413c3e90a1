"""What two independent toolkits say of each kind of object we write."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from appliance.contracts import Identity, Image, Plan, PrescribedTarget, SourceObject, Structure
from appliance.dicomio.ct import ROW_AND_COLUMN_SIGNS, write_ct_series
from appliance.dicomio.dose import dose_dataset
from appliance.dicomio.files import save_durable
from appliance.dicomio.plan import plan_dataset
from appliance.dicomio.structure_set import structure_set_dataset
from engines.grid import Grid

pytestmark = pytest.mark.peer


def findings(path: Path) -> list[str]:
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy (dicom3tools) is not installed")
    done = subprocess.run(["dciodvfy", str(path)], capture_output=True, encoding="latin-1", check=False)
    return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]


def dumped(path: Path) -> str:
    if shutil.which("dcmdump") is None:
        pytest.skip("dcmdump (DCMTK) is not installed")
    return subprocess.run(["dcmdump", str(path)], capture_output=True, encoding="latin-1", check=True).stdout


@pytest.mark.parametrize("position", sorted(ROW_AND_COLUMN_SIGNS))
def test_ct(position: str, image: Image, identity: Identity, frame_uid: str, tmp_path: Path) -> None:
    written = write_ct_series(
        image, identity=identity, frame_of_reference_uid=frame_uid, patient_position=position, folder=tmp_path
    )
    assert findings(written[0].path) == []
    assert f"[{position}]" in dumped(written[0].path)


def test_structure_set(
    structures: Sequence[Structure],
    images: Sequence[SourceObject],
    structure_set: SourceObject,
    identity: Identity,
    frame_uid: str,
    tmp_path: Path,
) -> None:
    dataset = structure_set_dataset(
        structures,
        identity=identity,
        frame_of_reference_uid=frame_uid,
        images=images,
        label="Today",
        predecessor=structure_set,
    )
    path = save_durable(dataset, tmp_path / "RS.dcm").path
    assert findings(path) == []
    assert "CLOSED_PLANAR" in dumped(path)


@pytest.mark.parametrize("predecessor", [False, True])
def test_plan(
    predecessor: bool, plan: Plan, structure_set: SourceObject, identity: Identity, frame_uid: str, tmp_path: Path
) -> None:
    dataset = plan_dataset(
        plan,
        identity=identity,
        structure_set=structure_set,
        predecessor=structure_set if predecessor else None,
        prescription=(PrescribedTarget("PTV_7000", 70.0), PrescribedTarget("PTV_Absent", 56.0)),
        frame_of_reference_uid=frame_uid,
        beam_dose_gy={1: 1.5} if predecessor else None,
    )
    path = save_durable(dataset, tmp_path / "RP.dcm").path
    assert findings(path) == []
    assert "ControlPointSequence" in dumped(path)


@pytest.mark.parametrize(("referenced", "beam"), [(True, None), (True, 2), (False, None)])
def test_dose(
    referenced: bool, beam: int | None, structure_set: SourceObject, identity: Identity, frame_uid: str, tmp_path: Path
) -> None:
    grid = Grid((0.0, 0.0, 0.0), (2.5, 2.5, 3.0), (3, 5, 7))
    dataset = dose_dataset(
        grid,
        np.full(grid.shape, 2.0, np.float32),
        identity=identity,
        frame_of_reference_uid=frame_uid,
        plan=structure_set if referenced else None,
        structure_set=structure_set,
        summation="PLAN" if beam is None else "BEAM",
        beam_number=beam,
    )
    path = save_durable(dataset, tmp_path / "RD.dcm").path
    assert findings(path) == []
    assert "DoseGridScaling" in dumped(path)
