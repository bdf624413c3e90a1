"""Altered, missing and unreadable model files are found."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from appliance.config import Config, PlanningConfig
from appliance.errors import ModelError
from appliance.health import Status, models
from appliance.planning import check_configured
from engines.runtime.registry import load_registry


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(models.MODELS, tmp_path / "models"))


def test_the_released_files_are_in_order() -> None:
    finding = models.check(Config())
    assert finding.status is Status.OK, finding.sentence
    assert finding.detail["machines"] == sorted(file.stem for file in (models.MODELS / "machines").glob("*.toml"))


@pytest.mark.parametrize("name", ["beam/generic_6mv.json", "machines/millennium120.toml", "density/generic_ct.toml"])
def test_a_truncated_file_is_named(folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2] + b"\n[[")
    finding = models.check(Config(), folder=folder)
    assert (finding.status, name in finding.sentence) == (Status.FAILED, True)


def test_a_file_under_another_name_is_found(folder: Path) -> None:
    (folder / "machines" / "millennium120.toml").rename(folder / "machines" / "other.toml")
    finding = models.check(Config(), folder=folder)
    assert (finding.status, "its name is not 'other'" in finding.sentence) == (Status.FAILED, True)


def test_the_readers_handed_in_are_the_judges(folder: Path) -> None:
    seen: list[str] = []

    def refuse(path: Path) -> None:
        seen.append(path.stem)
        raise ModelError("leaf speed is missing")

    finding = models.check(Config(), folder=folder, readers={"machines": refuse})
    assert seen == sorted(path.stem for path in (folder / "machines").glob("*.toml"))
    assert (finding.status, "leaf speed is missing" in finding.sentence) == (Status.FAILED, True)


def test_figures_of_the_configured_machine_that_nobody_confirmed_are_named(folder: Path) -> None:
    class Read:
        unconfirmed = ("gantry.range_deg", "couch.speed_deg_s")

    finding = models.check(Config(), folder=folder, readers={"machines": lambda _: Read()})
    assert finding.status is Status.OK
    assert "2 figures of millennium120 are unconfirmed: couchside machines show millennium120" in finding.sentence
    assert finding.detail["unconfirmed_figures"] == ["gantry.range_deg", "couch.speed_deg_s"]


@pytest.mark.parametrize("kind", ["beam", "machines", "density", "guidelines"])
def test_a_kind_without_files_fails(folder: Path, kind: str) -> None:
    shutil.rmtree(folder / kind)
    finding = models.check(Config(), folder=folder)
    assert (finding.status, f"models/{kind}" in finding.sentence) == (Status.FAILED, True)


def test_a_configured_model_that_is_not_there_fails(folder: Path) -> None:
    config = Config(
        planning=PlanningConfig(machine="other-machine", density=str(folder / "density" / "generic_ct.toml"))
    )
    finding = models.check(config, folder=folder)
    assert finding.detail["problems"] == ["the configuration names 'other-machine', which is not in models/machines"]


def test_registered_networks_must_be_the_registered_ones(folder: Path) -> None:
    name = "dose/dose.onnx"
    assert models.check(Config(), folder=folder).detail["registered_networks"] == len(load_registry().entries)
    with (folder / name).open("ab") as stream:
        stream.write(b"\0")
    finding = models.check(Config(), folder=folder)
    assert (finding.status, "SHA-256 differs" in finding.sentence) == (Status.FAILED, True)
    (folder / name).unlink()
    assert f"{name} of the model 'dose' cannot be read" in models.check(Config(), folder=folder).sentence


@pytest.mark.parametrize(
    "content", ["not toml = =", 'format = "couchside-models-1"', "model = 3", "[model]\na = 1", None]
)
def test_a_registry_that_is_unreadable_or_gone_fails(folder: Path, content: str | None) -> None:
    (folder / "registry.toml").unlink()
    if content is not None:
        (folder / "registry.toml").write_text(content)
    finding = models.check(Config(), folder=folder)
    assert (finding.status, "registry.toml" in finding.sentence) == (Status.FAILED, True)


@pytest.mark.parametrize(
    ("planning", "words"),
    [
        ({"machine": "dual_layer"}, "couchside_6mv_fff"),
        ({"machine": "mr_ring160", "technique": "vmat"}, "does not deliver VMAT"),
    ],
)
def test_a_machine_that_does_not_fit_its_beam_model_or_technique_fails(planning, words) -> None:
    config = Config(planning=PlanningConfig(**planning))
    finding = models.check(config, together=lambda: check_configured(config.planning))
    assert (finding.status, words in finding.sentence) == (Status.FAILED, True)
    fitting = PlanningConfig(machine="dual_layer", beam_model="couchside_6mv_fff", technique="vmat")
    assert models.check(Config(planning=fitting), together=lambda: check_configured(fitting)).status is Status.OK
