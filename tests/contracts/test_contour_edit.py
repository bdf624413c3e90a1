"""Edits and rules survive as JSON, and what is neither is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from appliance.contracts.contour_edit import (
    AddBrush,
    AddPolygon,
    CopySlice,
    DeleteSlice,
    Interpolate,
    Release,
    ReplaceByMask,
    ReplaceSlice,
    SmoothSlice,
    SubtractBrush,
    SubtractPolygon,
    contour_edits_from_json,
    contour_edits_to_json,
)
from appliance.contracts.derived import DerivedRule
from engines.grid import Margins

TRIANGLE = ((0.0, 1.5), (10.0, 1.0), (3.0, 9.0))
EVERY = (
    AddPolygon("CTV", -3.0, TRIANGLE),
    SubtractPolygon("CTV", -3.0, TRIANGLE),
    AddBrush("CTV", 0.0, TRIANGLE[:1], 4.5),
    SubtractBrush("CTV", 0.0, TRIANGLE, 4.5),
    ReplaceSlice("CTV", 3.0, (TRIANGLE, TRIANGLE)),
    ReplaceByMask("CTV", 3.0, ((4, 10, 3), (5, 10, 2))),
    DeleteSlice("CTV", 6.0),
    CopySlice("CTV", 6.0, 3.0),
    SmoothSlice("CTV", 6.0, 2.0),
    Interpolate("CTV", -3.0, 6.0),
    Release("PTV"),
)


def test_every_edit_comes_back():
    assert contour_edits_from_json(contour_edits_to_json(EVERY)) == EVERY
    assert len({edit.kind for edit in EVERY}) == len(EVERY)


@pytest.mark.parametrize(
    "text",
    [
        '[{"kind": "lasso", "structure": "CTV", "z_mm": 0}]',
        '[{"kind": "polygon add", "structure": "CTV", "z_mm": 0}]',
        '[{"kind": "brush add", "structure": "CTV", "z_mm": "high", "points_mm": [], "radius_mm": 2}]',
        '[{"kind": "polygon add", "structure": "CTV", "z_mm": 0, "points_mm": [[1, 2, 3]]}]',
        "{}",
    ],
)
def test_what_is_no_list_of_edits_is_refused(text):
    with pytest.raises(ValidationError):
        contour_edits_from_json(text)


def test_the_edits_of_the_page_on_contours_are_edits():
    page = Path(__file__).parents[2] / "docs" / "contours.md"
    (example,) = re.findall(r"```json\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert len(contour_edits_from_json(example)) == 5
    assert all(f"`{edit.kind}`" in page.read_text(encoding="utf-8") for edit in EVERY)


def test_rules_say_what_they_mean():
    rules = (
        DerivedRule("PTV", "CTV", Margins.all_round(5.0)),
        DerivedRule("PTV_6000", "CTV_6000", Margins(5, 5, 5, 3, 7, 7), 3.0),
        DerivedRule("PRV", "SpinalCord", Margins.all_round(3.5), None),
    )
    assert [rule.words for rule in rules] == [
        "CTV + 5 mm in External",
        "CTV_6000 + 5/5/5/3/7/7 mm in External - 3 mm",
        "SpinalCord + 3.5 mm",
    ]
