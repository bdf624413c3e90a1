"""`couchside commission` from a folder to a model, a report and a verdict."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from engines.photon.beam_model import load_beam_model

from ..commissioning.curves_by_hand import BEAM, write_folder
from .conftest import Ran


@pytest.mark.slow
def test_a_curve_that_no_photon_beam_has_fails_and_still_writes(run: Callable[..., Ran], tmp_path: Path) -> None:
    """A dose that does not fall with depth: 2 % cannot be held, the exit code says so, the files show it."""
    write_folder(tmp_path)
    rows = "".join(f"depth_dose,100,100,1000,,,{depth},100\n" for depth in (0, 5, 10, 20, 50, 100, 150, 200))
    text = "kind,field_x_mm,field_y_mm,ssd_mm,depth_mm,axis,position_mm,value\n" + rows
    (tmp_path / "curves.csv").write_text(text, "utf-8")
    out = tmp_path / "out" / "model.json"
    out.parent.mkdir()
    done = run("commission", tmp_path, "--out", out, "--json")
    assert done.code == 13
    document = json.loads(done.out)
    assert document["passed"] is False
    table = document["tables"]["collapsed cone"]
    assert [row["test"] for row in table if row["outcome"] == "failed"] == ["5.3"]
    assert next(row for row in table if row["test"] == "6.2")["outcome"] == "not tested"
    assert load_beam_model(out).superposition is not None
    page = out.with_suffix(".html").read_text("utf-8")
    assert "<svg" in page and "http" not in page
    assert page.count("<figure") == 2


def test_a_malformed_file_is_refused_before_anything_is_fitted(run: Callable[..., Ran], tmp_path: Path) -> None:
    write_folder(tmp_path, "depth_dose,40,40,1000,,,0,many")
    done = run("commission", tmp_path, "--out", tmp_path / "m.json", "--json")
    assert done.code == 4
    refusal = json.loads(done.err)
    assert refusal["key"] == "refused.measurements"
    assert refusal["sentence"].startswith("curves.csv, line 13,")
    assert not (tmp_path / "m.json").exists()


@pytest.mark.parametrize(("old", "new"), [("6.0", "15.0"), ('"STANDARD"', '"WEDGED"')])
def test_a_beam_without_a_spectrum_or_of_no_kind_is_refused(
    run: Callable[..., Ran], tmp_path: Path, old: str, new: str
) -> None:
    write_folder(tmp_path)
    (tmp_path / "beam.toml").write_text(BEAM.replace(old, new), "utf-8")
    assert run("commission", tmp_path, "--out", tmp_path / "m.json").code == 4
