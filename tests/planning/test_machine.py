"""The machine file: what is shipped, and a refusal for everything that no machine can be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from appliance.errors import ModelError
from appliance.planning import load_machine
from appliance.planning.machine import MACHINES

TEXT = (MACHINES / "millennium120.toml").read_text("utf-8")


def test_the_shipped_machine():
    machine = load_machine("millennium120")
    assert (machine.sad_mm, machine.energy_mv, machine.fluence_mode) == (1000.0, 6.0, "STANDARD")
    assert machine.mlc.boundaries_mm.size == 61


def test_a_file_anywhere_may_be_named(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(TEXT.replace("maximum_mu_min = 600.0", "maximum_mu_min = 500.0"), "utf-8")
    assert load_machine(str(path)).dose_rate.maximum_mu_min == 500.0


def test_an_unknown_machine_is_refused_with_the_known_ones():
    with pytest.raises(ModelError, match=r"no machine file 'cyber'.*millennium120"):
        load_machine("cyber")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('format = "couchside-machine-1"', 'format = "couchside-machine-2"', "format"),
        ("sad_mm = 1000.0", "sad_mm = 100.0", "sad_mm"),
        ("sad_mm = 1000.0\n", "", "sad_mm.*[Ff]ield required"),
        ("energy_mv = 6.0", "energy_mv = -6.0", "energy_mv"),
        ('fluence_mode = "STANDARD"', 'fluence_mode = "FLAT"', "fluence_mode"),
        ('name = "millennium120"', 'name = "millennium120"\ncolour = "red"', "colour"),
        ('treatment_machine = "COUCHSIDE_M120"', f'treatment_machine = "{"M" * 17}"', "treatment_machine"),
        ("from_mm = -100.0, width_mm = 5.0, count = 40", "from_mm = -100.0, width_mm = 5.0, count = 39", "gap"),
        ("from_mm = -100.0, width_mm = 5.0, count = 40", "from_mm = -115.0, width_mm = 5.0, count = 43", "borders"),
        ("from_mm = -100.0, width_mm = 5.0, count = 40", "from_mm = -100.0, width_mm = 0.0, count = 40", "width_mm"),
        ("from_mm = -100.0, width_mm = 5.0, count = 40", "from_mm = -100.0, width_mm = 5.0, count = 0", "count"),
        ("position_min_mm = -200.0", "position_min_mm = 200.0", "position_min_mm must lie below"),
        ("position_min_mm = -200.0", "position_min_mm = nan", "position_min_mm"),
        ("position_max_mm = 200.0", "position_max_mm = inf", "position_max_mm"),
        ("bank_span_max_mm = 150.0", "bank_span_max_mm = 0.0", "bank_span_max_mm"),
        ("minimum_gap_mm = 0.5", "minimum_gap_mm = -0.5", "minimum_gap_mm"),
        ("leaf_speed_mm_s = 25.0", "leaf_speed_mm_s = 0.0", "leaf_speed_mm_s"),
        ("interdigitation = true", 'interdigitation = "perhaps"', "interdigitation"),
        ("x1_mm = [-200.0, 20.0]", "x1_mm = [20.0, -200.0]", r"jaws\.x1_mm must be \[smallest, largest\]"),
        ("y2_mm = [-100.0, 200.0]", "y2_mm = [-100.0, -100.0]", r"jaws\.y2_mm"),
        ("x2_mm = [-20.0, 200.0]", "x2_mm = [-20.0]", "x2_mm"),
        ("minimum_opening_mm = 10.0", "minimum_opening_mm = -1.0", "minimum_opening_mm"),
        ("speed_deg_s = 6.0", "speed_deg_s = 0.0", "speed_deg_s"),
        ("maximum_mu_min = 600.0", "maximum_mu_min = 0.0", "maximum_mu_min"),
        ("minimum_segment_mu = 1.0", "minimum_segment_mu = -1.0", "minimum_segment_mu"),
        ("minimum_segment_mu = 1.0", "minimum_segment_mu = 1000.0", "minimum_segment_mu is above"),
        ("minimum_mu_min = 20.0", "minimum_mu_min = 700.0", "minimum_mu_min is above"),
        ("mu_per_deg = [0.1, 60.0]", "mu_per_deg = [0.01, 0.05]", "more MU per degree"),
        ("bank_span_max_mm = 150.0", "bank_span_max_mm = 401.0", "longer than the leaves reach"),
        ("minimum_gap_mm = 0.5", "minimum_gap_mm = 400.0", "leaves no leaf position"),
        ("minimum_opening_mm = 10.0", "minimum_opening_mm = 401.0", "cannot open"),
        ('axes = ["X", "Y"]', 'axes = ["Y"]', "there is no jaw along X"),
        ('axes = ["X", "Y"]', 'axes = ["X", "X"]', "twice"),
        ("range_deg = [-95.0, 95.0]", "range_deg = [0.0, 0.0]", "couch.*0 where it does not"),
        ("meterset_resolution_mu = 0.001", "meterset_resolution_mu = 2.0", "coarser"),
        ("maximum_beam_mu = 999.0", "maximum_beam_mu = 0.0", "maximum_beam_mu"),
        ("[gantry]", "[gantry", "not valid TOML"),
    ],
)
def test_an_impossible_machine_is_refused_by_the_key_that_is_wrong(old, new, words, tmp_path):
    assert old in TEXT
    path = tmp_path / "bad.toml"
    path.write_text(TEXT.replace(old, new, 1), "utf-8")
    with pytest.raises(ModelError, match=words) as refused:
        load_machine(str(path))
    assert "bad.toml" in refused.value.sentence


def test_a_collimator_without_leaves_is_refused(tmp_path):
    start, end = TEXT.index("boundary_blocks = ["), TEXT.index("]\nposition_min_mm")
    path = tmp_path / "bare.toml"
    path.write_text(TEXT[:start] + "boundary_blocks = [" + TEXT[end:], "utf-8")
    with pytest.raises(ModelError, match="boundary_blocks"):
        load_machine(str(path))


def test_a_file_that_is_not_text_is_refused(tmp_path):
    path = tmp_path / "binary.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ModelError, match=r"binary\.toml"):
        load_machine(str(path))


def test_leaf_borders_follow_the_blocks():
    borders = load_machine("millennium120").mlc.boundaries_mm
    expected = [*np.arange(-200, -100, 10), *np.arange(-100, 100, 5), *np.arange(100, 201, 10)]
    np.testing.assert_allclose(borders, expected)


def test_all_shipped_machines_load():
    assert [load_machine(p.stem).name for p in sorted(Path(MACHINES).glob("*.toml"))]
