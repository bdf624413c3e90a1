"""HU to density, the medium for ray tracing, and the grammar of regions."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.contracts import Image, StructureKind
from appliance.errors import ModelError
from appliance.planning.density import TABLES, load_density, medium
from appliance.planning.regions import region
from engines.grid import Grid, VoxelSet

from .cases import case_of, structure

# --- HU -------------------------------------------------------------------------------------------------------------


def test_the_tables_own_points_and_a_middle():
    table = load_density("generic_ct")
    hu = np.array([-1024, -999, -90, -45, 0, 100, 350, 3000, 50, 225], np.int16)
    expected = [0.001, 0.001, 0.95, 0.99, 1.0, 1.095, 1.199, 2.505, 1.0475, (1.095 + 1.199) / 2]
    np.testing.assert_allclose(table.density(hu), expected, rtol=1e-6)


def test_hu_beyond_the_table_keep_the_ends_density():
    hu = np.array([[-32768, 32767]], np.int16)
    np.testing.assert_allclose(load_density("generic_ct").density(hu), [[0.001, 2.505]], rtol=1e-6)


def test_density_never_falls_with_hu():
    hu = np.arange(-1100, 3200, dtype=np.int16)
    assert np.all(np.diff(load_density("generic_ct").density(hu)) >= 0)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("couchside-density-1", "couchside-density-9"),
        ("[0.0, 1.0], ", "[0.0, 1.0], [0.0, 1.1], "),
        ("[0.0, 1.0], ", "[0.0, -1.0], "),
        ("[0.0, 1.0], ", "[0.0, nan], "),
        ("valid_hu", "range_hu"),
        ("points = [", "points = "),
    ],
    ids=["format", "HU twice", "negative", "not a number", "unknown key", "not TOML"],
)
def test_an_impossible_table_is_refused(old, new, tmp_path):
    text = (TABLES / "generic_ct.toml").read_text("utf-8")
    assert old in text
    path = tmp_path / "own.toml"
    path.write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises(ModelError, match="density table"):
        load_density(str(path))


def test_a_missing_table_is_refused():
    with pytest.raises(ModelError, match="density table 'none'"):
        load_density("none")


def test_outside_the_outline_is_empty_and_edges_count_with_their_share():
    grid = Grid((0, 0, 0), (1, 1, 1), (1, 1, 4))
    image = Image(grid, np.array([[[0, 0, 0, 100]]], np.int16))
    outline = VoxelSet(np.array([1, 2], np.int32), np.array([0.25, 1.0], np.float32))
    table = load_density("generic_ct")
    np.testing.assert_allclose(medium(image, outline, table).density, [[[0, 0.25, 1, 0]]])
    couch = VoxelSet(np.array([1, 3], np.int32), np.array([0.5, 1.0], np.float32))
    np.testing.assert_allclose(medium(image, outline, table, (couch,)).density, [[[0, 0.5, 1, 1.095]]])
    np.testing.assert_allclose(medium(image, None, table).density, [[[1, 1, 1, 1.095]]])


# --- regions --------------------------------------------------------------------------------------------------------

A, B, C = np.zeros((3, 6))
A[0:4], B[2:5], C[3:6] = 1.0, 1.0, 1.0
A[0], B[4], C[3] = 0.5, 0.25, 0.75


@pytest.fixture(scope="module")
def case():
    grid = Grid((0, 0, 0), (1, 1, 1), (1, 1, 6))
    hu = np.zeros(grid.shape, np.int16)
    names = {"A": A, "B": B, "C": C, "Empty": np.zeros(6)}
    made = [
        structure(i, name, StructureKind.ORGAN, share.reshape(grid.shape))
        for i, (name, share) in enumerate(names.items(), 1)
    ]
    return case_of(grid, hu, tuple(made))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("A", A),
        ("A+B", np.minimum(A + B, 1)),
        ("A!C", [0.5, 1, 1, 0.25, 0, 0]),
        ("A+B!C", [0.5, 1, 1, 0.25, 0, 0]),  # (A + B) without C
        ("A!C+B", [0.5, 1, 1, 1, 0.25, 0]),  # (A without C) and B
        ("A!B!C", [0.5, 1, 0, 0, 0, 0]),
        ("A + B ! C", [0.5, 1, 1, 0.25, 0, 0]),
        ("A+Nothing", A),
        ("Nothing+A", A),
        ("A!Nothing", A),
        ("A!Empty", A),
        ("Empty+B", B),
    ],
)
def test_expressions_by_hand(case, expression, expected):
    found = region(case, expression)
    assert found is not None
    np.testing.assert_allclose(found.dense((1, 1, 6)).ravel(), expected, atol=1e-6)


@pytest.mark.parametrize("expression", ["Nothing", "Empty", "A!A", "Nothing!A", "Nothing+Empty", "B!A+Empty!B"])
def test_a_region_of_nothing_is_none(case, expression):
    assert region(case, expression) is None
