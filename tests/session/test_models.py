"""No node starts on a network that is not the registered one; each command that needs it says the same."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from appliance.config import AnatomyConfig, Config, EvaluationConfig, PlanningConfig
from appliance.errors import ModelError
from appliance.registered import shipped, verified_model
from appliance.session_models import registries, runtime_options, verify_models
from engines.runtime import Backend
from engines.runtime.contract import CPU_BACKENDS
from engines.runtime.registry import SHIPPED
from tests.evaluation.image_context.conftest import FILE, MODEL


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A copy of the registry with the dose network; the other one lies in a package."""
    (tmp_path / "dose").mkdir()
    shutil.copy(SHIPPED, tmp_path)
    shutil.copy(SHIPPED.parent / "dose" / "dose.onnx", tmp_path / "dose")
    (tmp_path / "policy").mkdir()
    shutil.copy(SHIPPED.parent / "policy" / "policy.onnx", tmp_path / "policy")
    return tmp_path / "registry.toml"


@pytest.fixture
def clinic(tmp_path: Path) -> Config:
    """A configuration with the clinic's own segmentation network."""
    (tmp_path / "tiny.onnx").write_bytes(MODEL)
    path = tmp_path / "network.toml"
    path.write_text(FILE.format(sha256=hashlib.sha256(MODEL).hexdigest()), "utf-8")
    return Config(evaluation=EvaluationConfig(segmentation=path))


def test_what_ships_is_in_order(models):
    verify_models(Config())
    verify_models(Config(), models)
    assert verified_model("dose", models) == (models.parent / "dose" / "dose.onnx").read_bytes()


@pytest.mark.parametrize("what", ["altered", "missing"])
def test_an_altered_or_missing_network_is_named_with_its_remedy(models, what):
    file = models.parent / "dose" / "dose.onnx"
    if what == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-1] + b"\1")
    for ask in (lambda: verify_models(Config(), models), lambda: verified_model("dose", models)):
        with pytest.raises(ModelError, match=r"dose/dose\.onnx of the model 'dose' .*get the file again"):
            ask()


def test_a_missing_registry_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"registry\.toml cannot be read"):
        shipped(tmp_path / "registry.toml")


def test_a_clinics_network_is_registered_by_the_file_that_describes_it(clinic):
    names = [registry.names for registry in registries(clinic)]
    assert names[1:] == [("tiny",)]
    verify_models(clinic)
    weights = clinic.evaluation.segmentation.parent / "tiny.onnx"
    weights.write_bytes(weights.read_bytes() + b" ")
    with pytest.raises(ModelError, match=r"tiny\.onnx.*SHA-256 differs.*get the network again"):
        verify_models(clinic)


def test_a_clinics_network_may_not_take_a_name_that_ships(clinic):
    path = clinic.evaluation.segmentation
    path.write_text(path.read_text("utf-8").replace('name = "tiny"', 'name = "dose"'), "utf-8")
    with pytest.raises(ModelError, match="has the name of another network"):
        registries(clinic)


def test_the_network_that_ships_may_be_named_and_one_for_both_uses_counts_once(clinic):
    organs = SHIPPED.parent / "organs" / "organs.toml"
    own = clinic.evaluation.segmentation
    assert len(registries(Config(evaluation=EvaluationConfig(segmentation=organs)))) == 1
    assert len(registries(clinic.model_copy(update={"anatomy": AnatomyConfig(segmentation=own)}))) == 2
    assert len(registries(clinic.model_copy(update={"anatomy": AnatomyConfig(segmentation=organs)}))) == 2


def test_networks_stay_on_the_cpu_where_dose_does_by_order():
    assert runtime_options(Config(planning=PlanningConfig(device="cpu"))).backends == CPU_BACKENDS
    assert runtime_options(Config()).backends == tuple(Backend)
    policy = shipped().entry("policy")
    assert runtime_options(Config(), policy).backends == (Backend.ONNX_CPU,)
