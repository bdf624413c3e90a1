"""The second check with the other algorithm: a beam model with data for both, the collapsed cone's spectrum and kernel
those of the engine's own tests, so that how well the two agree is no claim about a shipped model."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from appliance.planning import load_calibrated
from engines.photon.beam_model import save_beam_model

from ..cli.conftest import Ran
from ..engines.photon.superposition.cases import point_source
from ..session.small_case import write_small_case
from .planned import plan_of, write_plan


def test_a_pencil_beam_dose_is_checked_by_the_collapsed_cone(run: Callable[..., Ran], tmp_path: Path) -> None:
    write_small_case(tmp_path / "ct")
    plan = write_plan(plan_of("static"), tmp_path / "ct", tmp_path / "RP.dcm")
    model, _ = load_calibrated("generic_6mv")
    save_beam_model(replace(model, superposition=point_source()), tmp_path / "both.json")
    config = tmp_path / "couchside.toml"
    config.write_text(f'[planning]\nbeam_model = "{tmp_path / "both.json"}"\n', "utf-8")
    here = ("--ct", tmp_path / "ct", "--config", config, "--json")
    ran = run("dose", plan, "--out", tmp_path / "RD.dcm", "--algorithm", "pencil-beam", *here)
    assert ran.code == 0, ran.err
    document = json.loads(run("check", plan, tmp_path / "RD.dcm", *here).out)
    second = document["second_check"]
    assert "collapsed cone" in second["secondary"]
    assert second["gamma_points"] > 1000 and second["gamma_pass_percent"] > 50.0
    assert abs(second["point_difference_percent"]) < 10.0
    same = json.loads(run("check", plan, tmp_path / "RD.dcm", "--algorithm", "pencil_beam", *here).out)
    assert same["second_check"]["gamma_pass_percent"] == 100.0
