"""A folder of DICOM in, a predicted dose out: marked, never taken back as a dose, and said in the session's report.

The network that ships is asked about a patient of OpenKBP where the data are, and about built-in cases, which it may
or may not know: both ways are held to what they must say.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from appliance.approval import IdentityStore
from appliance.audit import AuditLog
from appliance.builtin import write_study
from appliance.builtin.openkbp import import_openkbp
from appliance.config import Config, PlanningConfig, PredictionConfig
from appliance.dicomio.predicted_dose import PREDICTED_MARK
from appliance.session_headless import read_case, read_set, run_to_review
from appliance.session_work import Workplace
from engines.runtime import Backend

from ..cli.conftest import Ran
from ..session.small_case import SmallCase, write_small_case
from ..session.standin import stages_with
from .planned import plan_of, write_plan

Run = Callable[..., Ran]
SHARED = Path(__file__).resolve().parents[3] / "shared" / "openkbp" / "valid" / "pt_201.npz"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallCase:
    return write_small_case(tmp_path_factory.mktemp("small") / "case")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "couchside.toml"
    path.write_text('[prediction]\nthreads = 1\nbackends = ["onnx_cpu"]\n', "utf-8")
    return path


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not SHARED.exists():
        pytest.skip("the data folder (../shared/openkbp) is not on this machine")
    folder = tmp_path_factory.mktemp("openkbp") / "201"
    import_openkbp(SHARED, folder)
    return folder


def test_a_patient_that_the_network_does_not_know_is_refused_and_nothing_is_written(
    run: Run, small: SmallCase, config: Path, tmp_path: Path
) -> None:
    out = tmp_path / "P.dcm"
    ran = run("predict", small.folder, "--out", out, "--goals", small.goals, "--config", config, "--json")
    assert ran.code == 6
    told = json.loads(ran.err.splitlines()[-1])
    assert told["key"] == "model.not_predicted"
    assert "No dose can be predicted for this case: None of the organs is contoured" in told["sentence"]
    assert not out.exists()


def test_a_built_in_head_and_neck_is_predicted_with_marks_or_refused_in_words(
    run: Run, config: Path, tmp_path: Path
) -> None:
    folder, out = tmp_path / "study", tmp_path / "P.dcm"
    write_study("head-neck", folder, day="today")
    ran = run("predict", folder, "--out", out, "--site", "head-neck", "--config", config, "--json")
    if ran.code == 0:
        document = json.loads(ran.out)
        assert document["warnings"]
        assert pydicom.dcmread(out).DoseComment == PREDICTED_MARK
    else:
        assert ran.code == 6, ran.err
        assert json.loads(ran.err.splitlines()[-1])["key"] == "model.not_predicted"
        assert not out.exists()


def test_it_can_be_switched_off(run: Run, small: SmallCase, tmp_path: Path) -> None:
    config = tmp_path / "off.toml"
    config.write_text("[prediction]\nenabled = false\n", "utf-8")
    ran = run(
        "predict", small.folder, "--out", tmp_path / "P.dcm", "--goals", small.goals, "--config", config, "--json"
    )
    assert ran.code == 6
    assert "switched off in the configuration" in ran.err


def test_one_file_for_two_volumes_is_a_mistake(run: Run, small: SmallCase, tmp_path: Path) -> None:
    ran = run("predict", small.folder, "--out", tmp_path / "P.dcm", "--uncertainty", tmp_path / "P.dcm", "--json")
    assert ran.code == 3
    assert "name the same file" in ran.err


@pytest.mark.slow
def test_a_patient_that_it_knows(run: Run, patient: Path, config: Path, tmp_path: Path) -> None:
    out, width = tmp_path / "P.dcm", tmp_path / "W.dcm"
    ran = run(
        "predict", patient, "--out", out, "--uncertainty", width, "--site", "openkbp", "--config", config, "--json"
    )
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    assert document["label"].startswith("predicted, not calculated")
    assert document["model"].startswith("dose@")
    assert len(document["goals"]) >= 8
    for goal in document["goals"]:
        assert 0 <= goal["low_80"] < goal["value"] < goal["high_80"]
    assert set(document["seconds"]) >= {"anatomy", "features", "network", "interval", "in all"}
    read = pydicom.dcmread(out)
    values = read.pixel_array * float(read.DoseGridScaling)
    assert values.max() == pytest.approx(document["maximum_gy"], abs=0.01)
    assert 60.0 < values.max() < 90.0
    assert "ReferencedRTPlanSequence" not in read
    half = pydicom.dcmread(width)
    assert half.DoseType == "ERROR"
    if shutil.which("dciodvfy"):
        for path in (out, width):
            done = subprocess.run(["dciodvfy", str(path)], capture_output=True, encoding="latin-1", check=False)
            assert [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")] == []


def predicted_file(case_folder: Path, out: Path) -> Path:
    """A file as `couchside predict` writes it, for a case that the network would refuse: only its marks matter."""
    from appliance.case import assemble
    from appliance.contracts import PredictedDose
    from appliance.dicomio.files import save_durable
    from appliance.dicomio.predicted_dose import predicted_dose_dataset

    case = assemble(read_case(case_folder)[0])
    gy = np.full(case.image.grid.shape, 20.0, np.float32)
    predicted = PredictedDose(case.image.grid, gy, gy, gy, "dose@0123abcd", model_sha256="01" * 32)
    save_durable(predicted_dose_dataset(case, predicted), out)
    return out


@pytest.mark.parametrize("command", ["replan", "evaluate"])
def test_a_folder_with_a_prediction_in_it_is_refused_by_name(
    command: str, run: Run, small: SmallCase, tmp_path: Path
) -> None:
    folder = tmp_path / "case"
    shutil.copytree(small.folder, folder)
    predicted_file(folder, folder / "P.dcm")
    ran = run(command, folder, "--out", tmp_path / "out", "--goals", small.goals, "--json")
    assert ran.code == 4
    told = json.loads(ran.err.splitlines()[-1])
    assert told["key"] == "refused.object"
    assert "P.dcm was refused: it is a dose that Couchside predicted" in told["sentence"]


def test_check_refuses_to_judge_a_prediction(run: Run, small: SmallCase, tmp_path: Path) -> None:
    plan = tmp_path / "RP.dcm"
    write_plan(plan_of("step and shoot"), small.folder, plan)
    ran = run("check", plan, predicted_file(small.folder, tmp_path / "P.dcm"), "--ct", small.folder, "--json")
    assert ran.code == 4
    assert "predicted, which nobody calculated" in json.loads(ran.err.splitlines()[-1])["sentence"]


@pytest.mark.slow
def test_a_session_predicts_and_its_report_says_so(patient: Path, tmp_path: Path) -> None:
    """The real prediction; the planner's stand-in, because planning such a patient takes minutes."""
    config = Config(
        planning=PlanningConfig(site="openkbp", device="cpu"),
        prediction=PredictionConfig(threads=1, backends=(Backend.ONNX_CPU,)),
    )
    stages = stages_with()(config, IdentityStore(tmp_path / "identities"))
    handed = []
    plan = stages.plan
    stages = replace(stages, plan=lambda *given: (handed.append(given[2]), plan(*given))[1])  # type: ignore[func-returns-value]
    with AuditLog.open(tmp_path / "audit.sqlite") as audit:
        session = run_to_review(read_set(patient), stages, Workplace(audit, tmp_path))
        row = next(row for row in audit.rows(event="session.transition") if row.data["event"] == "predict")
    assert set(row.data["artefacts"]) == {"predicted.npz"}  # type: ignore[arg-type]
    assert handed[0] is not None
    predicted = session.files.predicted()
    assert predicted is not None
    assert predicted.model in (session.files.folder / "report.html").read_text("utf-8")
    evaluation = session.files.evaluation()
    assert evaluation.predicted is not None
    assert evaluation.comparison is not None
    assert evaluation.comparison.predicted is not None
    assert evaluation.bands


def test_a_session_without_a_prediction_says_so_on_its_report(small: SmallCase, tmp_path: Path) -> None:
    stages = stages_with()(Config(planning=PlanningConfig(goals=small.goals)), IdentityStore(tmp_path / "identities"))
    with AuditLog.open(tmp_path / "audit.sqlite") as audit:
        session = run_to_review(read_set(small.folder), stages, Workplace(audit, tmp_path))
    told = "Planning starts from the goals: no dose was predicted for this patient"
    assert told in session.standing.notes
    report = (session.files.folder / "report.html").read_text("utf-8")
    assert told in report
    assert "None of the organs is contoured that the network knows" in report
