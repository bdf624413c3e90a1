"""HU to density, the medium for ray tracing, and the grammar of regions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from appliance.contracts import DensityOverride, Image, StructureKind
from appliance.errors import ModelError
from appliance.planning.density import TABLES, beyond_notes, load_density, medium, overrides_of
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
        ("valid_hu = [-1024.0, 3000.0]", "valid_hu = [3000.0, -1024.0]"),
        ('quantity = "electron_density"', 'quantity = "density"'),
        ('scanner = "', 'scanner = ""\nother = "'),
        ('beyond = "keep"', 'beyond = "metal"'),
        ("points = [", "segments = [{ from_hu = 0, to_hu = 9, offset = 1.0, slope = 0.0 }]\npoints = ["),
        ("points = [", "points = "),
    ],
    ids=[
        *("format", "HU twice", "negative", "not a number", "unknown key", "range", "quantity", "scanner"),
        *("metal without one", "points and segments", "not TOML"),
    ],
)
def test_an_impossible_table_is_refused(old, new, tmp_path):
    text = (TABLES / "generic_ct.toml").read_text("utf-8")
    assert old in text
    path = tmp_path / "own.toml"
    path.write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises(ModelError, match="density table"):
        load_density(str(path))


def test_the_schneider_table_is_that_of_the_paper():
    """Schneider et al. 2000 as printed: air, fat, soft tissue, connective tissue and bone by their own formulas."""
    table = load_density("schneider2000")
    hu = np.array([-1000, -98, 0, 14, 18, 100, 101, 1600], np.int16)
    expected = [0.00121, 1.018 - 0.0875, 1.018, 1.0305, 1.03, 1.1199, 1.0768, 1.9642]
    np.testing.assert_allclose(table.density(hu), expected, atol=6e-5)
    assert table.quantity == "mass_density"


def test_one_table_gives_both_quantities_and_bone_has_fewer_electrons_a_gram():
    table = load_density("schneider2000")
    hu = np.arange(-1000, 1600, dtype=np.int16)
    mass, electron = table.density(hu, "mass_density"), table.density(hu, "electron_density")
    np.testing.assert_allclose(electron[hu == 1400] / mass[hu == 1400], 0.51478 / 0.55508, rtol=0.01)
    np.testing.assert_allclose(electron[hu == -100] / mass[hu == -100], 0.55579 / 0.55508, rtol=1e-3)
    generic = load_density("generic_ct")
    np.testing.assert_array_equal(generic.density(hu), generic.density(hu, "electron_density"))
    assert np.all(generic.density(hu, "mass_density")[hu > 300] > generic.density(hu)[hu > 300])


def test_metal_by_rule_and_its_note(tmp_path):
    text = (TABLES / "schneider2000.toml").read_text("utf-8")
    path = tmp_path / "own.toml"
    metal = 'beyond = "metal"\nmetal = { name = "titanium", above_hu = 2500.0, density = 4.54 }'
    path.write_text(text.replace('beyond = "keep"', metal), "utf-8")
    table = load_density(str(path))
    np.testing.assert_allclose(table.density(np.array([2500, 2501, 3071], np.int16)), [2.451, 4.54, 4.54], rtol=1e-6)
    grid = Grid((0, 0, 0), (10.0, 10.0, 10.0), (1, 1, 4))
    image = Image(grid, np.array([[[-1000, 0, 3071, 1700]]], np.int16))
    (note,) = beyond_notes(image, None, table)
    assert "2.0 cc of the patient have above 1600 HU" in note
    assert "2.02 to 4.54 of water's density, above 2500 HU as titanium" in note
    assert beyond_notes(image, VoxelSet(np.array([0, 1], np.int32), np.ones(2, np.float32)), table) == ()


@pytest.mark.parametrize(
    ("old", "new"),
    [("from_hu = -98", "from_hu = -97"), ("to_hu = 14", "to_hu = 15"), ("offset = 1.201", "offset = -1.3")],
    ids=["a gap", "an overlap", "negative"],
)
def test_impossible_segments_are_refused(old, new, tmp_path):
    path = tmp_path / "own.toml"
    path.write_text((TABLES / "schneider2000.toml").read_text("utf-8").replace(old, new, 1), "utf-8")
    with pytest.raises(ModelError, match="density table"):
        load_density(str(path))


# --- densities of structures ----------------------------------------------------------------------------------------


ROW = Grid((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (1, 1, 4))


def row_image() -> Image:
    return Image(ROW, np.array([[[-1000, 0, 0, -1000]]], np.int16))


def voxels(*pairs: tuple[int, float]) -> VoxelSet:
    index, fraction = zip(*pairs, strict=True)
    return VoxelSet(np.array(index, np.int32), np.array(fraction, np.float32))


def test_an_override_counts_in_place_of_the_ct_by_its_share_of_each_voxel():
    table, steel = load_density("generic_ct"), DensityOverride(relative_mass_density=7.9)
    body = voxels((1, 1.0), (2, 1.0))
    made = medium(row_image(), body, table, overrides=[(voxels((1, 0.5), (2, 1.0)), steel)], quantity="mass_density")
    np.testing.assert_allclose(made.density[0, 0], [0.0, 0.5 * 1.0 + 0.5 * 7.9, 7.9, 0.0], rtol=1e-5)


def test_an_override_outside_the_patient_is_matter_and_the_other_quantity_follows():
    table, plate = load_density("generic_ct"), DensityOverride(relative_electron_density=1.2)
    both = [medium(row_image(), voxels((1, 1.0)), table, overrides=[(voxels((3, 1.0)), plate)], quantity=q)
            for q in ("electron_density", "mass_density")]  # fmt: skip
    assert both[0].density[0, 0, 3] == pytest.approx(1.2)
    # between soft tissue (1.06: Z/A 0.54996) and bone (1.92: 0.51478) more grams than electrons
    assert 1.2 < both[1].density[0, 0, 3] < 1.25
    assert both[0].density[0, 0, 2] == 0.0


def test_a_name_in_the_configuration_stands_above_the_structure_set():
    ones = np.ones(ROW.shape)
    couch = replace(structure(1, "CouchSurface", StructureKind.SUPPORT, ones), density=DensityOverride(0.5))
    hip = structure(2, "Prosthesis", StructureKind.ORGAN, ones)
    found = overrides_of((couch, hip), {"prosthesis": 4.5, "couchsurface": 0.1})
    assert [override for _, override in found] == [DensityOverride(0.1), DensityOverride(4.5)]
    assert [override for _, override in overrides_of((couch, hip))] == [DensityOverride(0.5)]


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


# --- grown regions ---------------------------------------------------------------------------------------------------


def point_case(spacing_mm: tuple[float, float, float] = (2.0, 2.0, 5.0)):
    """9 x 9 x 5 voxels (x, y, z); A is the middle one, B its neighbour towards +x, Edge the first of all."""
    grid = Grid((0.0, 0.0, 0.0), spacing_mm, (5, 9, 9))
    shares = {}
    for name, at in {"A": (2, 4, 4), "B": (2, 4, 5), "Edge": (0, 0, 0)}.items():
        shares[name] = np.zeros(grid.shape)
        shares[name][at] = 1
    body = structure(1, "External", StructureKind.EXTERNAL, np.ones(grid.shape))
    organs = (structure(2 + i, name, StructureKind.ORGAN, share) for i, (name, share) in enumerate(shares.items()))
    return case_of(grid, np.zeros(grid.shape, np.int16), (body, *organs))


def places(case, expression: str) -> set[tuple[int, int, int]]:
    """(x, y, z) of each voxel, in voxels from A."""
    found = region(case, expression)
    assert found is not None and (found.fraction == 1).all()
    z, y, x = np.unravel_index(found.index, case.image.grid.shape)
    return set(zip((x - 4).tolist(), (y - 4).tolist(), (z - 2).tolist(), strict=True))


CROSS = {(0, 0, 0), (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0)}
CORNERS = {(1, 1, 0), (1, -1, 0), (-1, 1, 0), (-1, -1, 0)}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("A^1", {(0, 0, 0)}),
        ("A^2", CROSS),  # 2 mm: the next voxels in the plane, and not the next plane, which is 5 mm off
        ("A^2.9", CROSS | CORNERS),  # their corners are 2.83 mm off
        ("A^2!A", CROSS - {(0, 0, 0)}),
        ("A^2!A^1", CROSS - {(0, 0, 0)}),
        ("A^2.9!A^2", CORNERS),
        ("A+B^1", {(0, 0, 0), (1, 0, 0)}),
        ("Nothing^5+A", {(0, 0, 0)}),
    ],
)
def test_a_grown_region_by_hand(expression, expected):
    assert places(point_case(), expression) == expected


def test_growing_reaches_the_next_plane_at_its_distance():
    case = point_case()
    assert {z for _, _, z in places(case, "A^4.9")} == {0}
    assert places(case, "A^5") & {(0, 0, 1), (0, 0, -1)} == {(0, 0, 1), (0, 0, -1)}
    assert (1, 0, 1) not in places(case, "A^5")


def test_growing_ends_with_the_image():
    case = point_case()
    grown = places(case, "Edge^2")
    assert grown == {(-4, -4, -2), (-3, -4, -2), (-4, -3, -2)}


def test_a_voxel_that_is_mostly_outside_is_not_grown_from():
    case = point_case()
    thin = np.zeros(case.image.grid.shape)
    thin[2, 4, 4], thin[2, 4, 5] = 1, 0.4
    case = replace(case, structures=(*case.structures, structure(9, "Thin", StructureKind.ORGAN, thin)))
    assert places(case, "Thin^2") == CROSS


def test_what_is_mostly_outside_everywhere_cannot_be_grown():
    case = point_case()
    thin = np.zeros(case.image.grid.shape)
    thin[2, 4, 4] = 0.4
    case = replace(case, structures=(*case.structures, structure(9, "Thin", StructureKind.ORGAN, thin)))
    assert region(case, "Thin^2") is None
