"""No shipped machine can be altered into an impossible one, whichever of its figures is changed."""

from __future__ import annotations

import copy
import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from appliance.errors import ModelError
from appliance.planning import load_machine
from appliance.planning.machine import MACHINES, Machine, machine_names

CONTENT = {name: tomllib.loads((MACHINES / f"{name}.toml").read_text("utf-8")) for name in machine_names()}
TEXT = (MACHINES / "millennium120.toml").read_text("utf-8")


@pytest.mark.parametrize("name", machine_names())
def test_every_figure_of_a_shipped_machine_has_a_source_and_its_name_is_its_files(name):
    content, machine = CONTENT[name], load_machine(name)
    labels = {"format", "name", "title", "treatment_machine"}
    stated = {key for key, value in content.items() if not isinstance(value, dict)} - labels
    stated |= {f"{p}.{k}" for p, part in content.items() if isinstance(part, dict) and p != "sources" for k in part}
    assert machine.name == name
    assert {figure for figure, _ in machine.figures()} == stated
    assert all(machine.source_of(figure) for figure in stated)
    assert set(machine.unconfirmed) < stated


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('sad_mm = "C-arm linac, 100 cm"\n', "", r"sad_mm has no entry in \[sources\]"),
        ('"gantry.speed_deg_s" = "6', '"gantry.sped_deg_s" = "6', r"gantry\.speed_deg_s has no entry"),
        ('"gantry.range_deg"', '"mlc.colour" = "blue"\n"gantry.range_deg"', r"'mlc\.colour', which is no figure"),
        ('couch = "unconfirmed"', 'couch = " "', r"couch\.range_deg has no entry"),
    ],
)
def test_a_figure_without_source_and_a_source_without_figure_are_refused(old, new, words, tmp_path):
    assert old in TEXT
    path = tmp_path / "bare.toml"
    path.write_text(TEXT.replace(old, new, 1), "utf-8")
    with pytest.raises(ModelError, match=words):
        load_machine(str(path))


def places(value, path=()):
    """Paths of all numbers below `value`."""
    if isinstance(value, bool | str):
        return
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))
    else:
        yield path


NUMBERS = [(name, path) for name, content in CONTENT.items() for path in places(content)]
SIZES = [p for p in NUMBERS if isinstance(p[1][-1], str) and p[1][-1] not in ("from_mm", "position_min_mm")]
RANGES = [(name, path[:-1]) for name, path in NUMBERS if path[-1] == 0 and not path[-2].endswith("_blocks")]
MAY_BE_ZERO = {
    "minimum_gap_mm",
    "minimum_opening_mm",
    "minimum_mu_min",
    "minimum_segment_mu",
    "patient_margin_mm",
    "couch_margin_mm",
}


def altered(name, path, value):
    content = copy.deepcopy(CONTENT[name])
    inner = content
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return content


@given(place=st.sampled_from(NUMBERS), value=st.sampled_from([float("nan"), float("inf"), -float("inf"), "far", None]))
@settings(max_examples=200, deadline=None)
def test_no_figure_may_be_other_than_a_finite_number(place, value):
    name, path = place
    if value is None and path[-1] in ("overtravel_mm", "speed_mm_s", "leaf_acceleration_mm_s2"):
        return  # these may be left out
    with pytest.raises(ValidationError):
        Machine.model_validate(altered(name, path, value))


@given(place=st.sampled_from(SIZES), size=st.floats(1e-3, 1e6))
@settings(max_examples=200, deadline=None)
def test_sizes_speeds_and_limits_are_never_negative(place, size):
    name, path = place
    if path[-1] == "position_max_mm":
        size += 1e3  # beyond its own position_min_mm
    with pytest.raises(ValidationError):
        Machine.model_validate(altered(name, path, -size))


@pytest.mark.parametrize(("name", "path"), [p for p in SIZES if p[1][-1] not in (*MAY_BE_ZERO, "position_max_mm")])
def test_zero_is_refused_where_nothing_could_move_or_shine(name, path):
    if path[-1] == "speed_deg_s" and not getattr(load_machine(name), path[0]).speed_deg_s:
        return  # an axis that does not turn
    if path[-1] == "overtravel_mm":
        return  # tips that may not cross the axis are possible
    with pytest.raises(ValidationError):
        Machine.model_validate(altered(name, path, 0.0))


@pytest.mark.parametrize(("name", "path"), RANGES)
def test_a_range_is_never_inverted(name, path):
    low, high = CONTENT[name][path[0]][path[1]]
    with pytest.raises(ValidationError):
        Machine.model_validate(altered(name, path, [high, low] if low != high else [low + 1.0, low]))


@given(data=st.data(), name=st.sampled_from(["millennium120", "hd120"]))
@settings(max_examples=60, deadline=None)
def test_blocks_of_leaves_neither_overlap_nor_leave_a_gap(data, name):
    blocks = CONTENT[name]["mlc"]["boundary_blocks"]
    number = data.draw(st.integers(1, len(blocks) - 1))
    shift = data.draw(st.floats(1e-3, 50) | st.floats(-50, -1e-3))
    moved = altered(name, ("mlc", "boundary_blocks", number, "from_mm"), blocks[number]["from_mm"] + shift)
    with pytest.raises(ValidationError):
        Machine.model_validate(moved)


def test_layers_that_lie_beside_each_other_are_refused():
    moved = altered("dual_layer", ("mlc", "lower_blocks", 0, "from_mm"), 150.0)
    with pytest.raises(ValidationError, match="no field passes through both layers"):
        Machine.model_validate(moved)
