"""Measurements are read as they were written, and refused with file, line and a remedy where they cannot be."""

from __future__ import annotations

import re
import string
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.commissioning import read_measurements
from appliance.commissioning.curves import Kind
from appliance.commissioning.read_csv import read_csv
from appliance.commissioning.read_w2cad import is_w2cad, read_w2cad
from appliance.errors import RefusedMeasurements
from tests.commissioning.curves_by_hand import depth_dose, w2cad, write_folder

HEADER = "kind,field_x_mm,field_y_mm,ssd_mm,depth_mm,axis,position_mm,value\n"


def test_csv_reads_back_every_point_of_a_curve(tmp_path: Path) -> None:
    read = read_measurements(write_folder(tmp_path))
    (curve,) = read.curves
    assert curve.kind is Kind.DEPTH_DOSE
    np.testing.assert_allclose(curve.positions_mm, depth_dose().positions_mm)
    np.testing.assert_allclose(curve.values, depth_dose().values, atol=1e-5)


def test_rows_in_any_order_and_two_curves_mixed(tmp_path: Path) -> None:
    rows = [
        f"profile,100,100,1000,{depth},X,{position},{depth + position}"
        for position in (20, -20, 0, 10)
        for depth in (100, 50)
    ]
    path = tmp_path / "p.csv"
    path.write_text(HEADER + "# a comment\n" + "\n".join(rows), "utf-8")
    first, second = read_csv(path)
    assert (first.depth_mm, second.depth_mm) == (100.0, 50.0)
    np.testing.assert_array_equal(first.positions_mm, [-20, 0, 10, 20])
    np.testing.assert_array_equal(second.values, [30, 50, 60, 70])


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("depth_dose,100,100,1000,,,0,abc", "not a number"),
        ("depth_dose,100,100,1000,,,0,nan", "not finite"),
        ("depth_dose,100,100,1000,,,0", "cells"),
        ("depth_dos,100,100,1000,,,0,1", "no kind"),
        ("output_factor,900,100,1000,50,,,1", "field"),
        ("output_factor,100,100,10,50,,,1", "source-surface"),
        ("output_factor,100,100,1000,50,,,-1", "not a ratio"),
        ("profile,100,100,1000,50,Q,0,1", "axis"),
        ("profile,100,100,1000,50,X,0,1", "points"),
    ],
)
def test_a_bad_row_is_named_by_its_line(tmp_path: Path, row: str, says: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(HEADER + "# comment\n" + row + "\n", "utf-8")
    with pytest.raises(RefusedMeasurements) as refusal:
        read_csv(path)
    assert re.search(r"bad\.csv, line 3,", refusal.value.sentence)
    assert says in refusal.value.sentence


def test_a_position_that_comes_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "twice.csv"
    path.write_text(HEADER + "".join(f"depth_dose,100,100,1000,,,{p},5\n" for p in (0, 10, 20, 10)), "utf-8")
    with pytest.raises(RefusedMeasurements, match=r"line 5.*10 mm comes again \(before in line 3\)"):
        read_csv(path)


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet=string.printable, max_size=300))
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("any") / "x.csv"
    path.write_text(HEADER + text, "utf-8")
    try:
        assert all(np.isfinite(curve.values).all() for curve in read_csv(path))
    except RefusedMeasurements as refusal:
        assert "x.csv" in refusal.sentence


def test_w2cad_profile_and_depth_dose(tmp_path: Path) -> None:
    path = tmp_path / "scans.asc"
    across = [(float(x), 0.0, 100.0, 50.0 + x) for x in (-20, -10, 0, 10, 20)]
    down = [(0.0, 0.0, -float(z), 100.0 - z) for z in (30, 20, 10)]
    both = w2cad(across).replace("$NUMS 001", "$NUMS 002").replace("$ENOF\n", "")
    path.write_text(both + w2cad(down, kind="OPD", extra="").replace("$NUMS 001\n", ""), "ascii")
    assert is_w2cad(path)
    profile, depth = read_w2cad(path)
    assert (profile.kind, profile.axis, profile.depth_mm, profile.ssd_mm) == (Kind.PROFILE, "X", 100.0, 1000.0)
    np.testing.assert_allclose(profile.values, [30, 40, 50, 60, 70])
    np.testing.assert_allclose(depth.positions_mm, [10, 20, 30])
    np.testing.assert_allclose(depth.values, [90, 80, 70])


def test_w2cad_diagonal_counts_distance_from_the_axis(tmp_path: Path) -> None:
    path = tmp_path / "d.asc"
    path.write_text(w2cad([(3.0 * i, 3.0 * i, 100.0, 90.0) for i in range(-2, 3)], kind="DPR"), "ascii")
    (curve,) = read_w2cad(path)
    assert curve.axis == "D"
    np.testing.assert_allclose(curve.positions_mm, 3 * np.sqrt(2) * np.arange(-2, 3))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("%PNTS 3", "%PNTS 9", "%PNTS states 9"),
        ("$ENOM\n", "", "no $ENOM"),
        ("%BMTY PHO", "%BMTY ELE", "no photon beam"),
        ("%TYPE OPP", "%TYPE WDP", "not modelled"),
        ("%FLSZ 100*100", "%FLSZ wide", "%FLSZ"),
        ("%SSD 1000\n", "", "%SSD"),
        ("%DPTH 100", "%DPTH 050", "%DPTH states 50"),
        ("+000.0 +000.0 +100.0 +050.0", "+000.0 +000.0 +050.0", "<x y z dose>"),
        ("$NUMS 001", "$NUMS 007", "$NUMS states 7"),
    ],
)
def test_a_w2cad_scan_that_is_not_whole_is_refused(tmp_path: Path, old: str, new: str, says: str) -> None:
    text = w2cad([(float(x), 0.0, 100.0, 50.0) for x in (-10, 0, 10)])
    assert old in text
    path = tmp_path / "scan.asc"
    path.write_text(text.replace(old, new), "ascii")
    with pytest.raises(RefusedMeasurements, match=r"scan\.asc, line \d+") as refusal:
        read_w2cad(path)
    assert says in refusal.value.sentence


def test_a_folder_without_a_reference_depth_dose_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path)
    text = (tmp_path / "curves.csv").read_text("utf-8").replace("depth_dose,100,100", "depth_dose,40,40")
    (tmp_path / "curves.csv").write_text(text, "utf-8")
    with pytest.raises(RefusedMeasurements, match="no depth dose of the reference field"):
        read_measurements(tmp_path)


def test_a_file_whose_origin_is_not_stated_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path)
    (tmp_path / "curves.csv").rename(tmp_path / "other.csv")
    with pytest.raises(RefusedMeasurements, match="origin is not stated"):
        read_measurements(tmp_path)


def test_the_same_curve_in_two_files_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path)
    curve = depth_dose()
    points = [(0.0, 0.0, p, v) for p, v in zip(curve.positions_mm, curve.values, strict=True)]
    (tmp_path / "scans.asc").write_text(w2cad(points, kind="OPD", extra=""), "ascii")
    with pytest.raises(RefusedMeasurements, match="repeats"):
        read_measurements(tmp_path)


def test_an_unknown_key_of_the_description_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path)
    path = tmp_path / "beam.toml"
    path.write_text(path.read_text("utf-8").replace("sad_mm", "sad_cm"), "utf-8")
    with pytest.raises(RefusedMeasurements, match=r"beam\.toml cannot be used: key 'sad"):
        read_measurements(tmp_path)
