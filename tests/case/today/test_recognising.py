"""Which planning targets are another target and a margin: hand-made ones that are, and ones that are not."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from scipy import ndimage

from appliance.case.today.recognising import recognised_rules
from appliance.contracts import Contour, Structure, StructureKind
from appliance.contracts.derived import DerivedRule
from engines.contouring import grown
from engines.contouring.borders import border_outline
from engines.contouring.lines import FloatArray
from engines.contouring.shapes import area_of, common, cut, loops_of
from engines.grid import Grid, Margins, rasterise

GRID = Grid((-79.0, -79.0, -45.0), (2.0, 2.0, 2.5), (37, 80, 80))
Z_MM = [float(z) for z in GRID.axes_mm()[2]]
TURN = np.linspace(0, 2 * np.pi, 121)[:-1]
BODY_MM = 70.0
FIVE = Margins.all_round(5.0)
Slices = dict[int, tuple[FloatArray, ...]]
Place = tuple[float, float, float]


def circle(radius_mm: float, x_mm: float = 0.0, y_mm: float = 0.0) -> FloatArray:
    return np.round(radius_mm * np.column_stack([np.cos(TURN), np.sin(TURN)]) + (x_mm, y_mm), 4)


def ball(radius_mm: float, at: Place = (0.0, 0.0, 0.0)) -> Slices:
    """A ball grown by a margin is a ball with a larger radius, whatever program grows it."""
    squared = {index: radius_mm**2 - (z_mm - at[2]) ** 2 for index, z_mm in enumerate(Z_MM)}
    return {index: (circle(np.sqrt(left), *at[:2]),) for index, left in squared.items() if left > 1}


def box(x_mm: float, y_mm: float, slices: range) -> Slices:
    corners = np.array([[-x_mm, -y_mm], [x_mm, -y_mm], [x_mm, y_mm], [-x_mm, y_mm]])
    return dict.fromkeys(slices, (corners,))


def structure(name: str, slices: Slices, number: int = 2, kind: StructureKind = StructureKind.TARGET) -> Structure:
    contours = tuple(Contour(Z_MM[index], loop) for index, loops in slices.items() for loop in loops)
    voxels = rasterise({Z_MM[index]: list(loops) for index, loops in slices.items()}, GRID)
    return Structure(number, name, name, kind, contours, voxels)


def within(slices: Slices, radius_mm: float) -> Slices:
    limit = area_of([circle(radius_mm)])
    return {index: loops_of(common(area_of(loops), limit)) for index, loops in slices.items()}


def without(slices: Slices, *other: FloatArray) -> Slices:
    return {index: loops_of(cut(area_of(loops), area_of(other))) for index, loops in slices.items()}


@pytest.fixture(scope="module")
def body() -> Structure:
    return structure("External", {index: (circle(BODY_MM),) for index in range(37)}, 1, StructureKind.EXTERNAL)


@pytest.fixture
def found(body: Structure) -> Callable[..., tuple[DerivedRule, ...]]:
    def rules(made: Sequence[str] = (), **drawn: Slices) -> tuple[DerivedRule, ...]:
        targets = (structure(name, slices) for name, slices in drawn.items())
        return recognised_rules((body, *targets), GRID, made)

    return rules


@pytest.mark.parametrize("margin_mm", [3.0, 5.0, 7.5])
def test_one_margin_all_round(found, margin_mm):
    rules = found(CTV_7000=ball(20), PTV_7000=ball(20 + margin_mm))
    assert rules == (DerivedRule("PTV_7000", "CTV_7000", Margins.all_round(margin_mm), 0.0),)


def test_margins_that_differ_by_side_and_come_in_whole_slices(found):
    margins = Margins(left=5, right=5, anterior=5, posterior=3, superior=10, inferior=7.5)
    source = box(18, 14, range(12, 24))
    assert found(CTV=source, PTV=grown(source, GRID, margins)) == (DerivedRule("PTV", "CTV", margins, 0.0),)


def test_a_margin_that_another_program_rounded_to_fewer_slices_stays_as_it_was_drawn(found):
    """5 mm are two slices of 2.5 mm; here the PTV has one more than its CTV."""
    source = box(18, 14, range(16, 22))
    drawn = {index: grown(source, GRID, FIVE)[18] for index in range(15, 23)}
    assert found(CTV=source, PTV=drawn)[0].margins_mm == Margins(5, 5, 5, 5, 2.5, 2.5)


@pytest.mark.parametrize("inside_mm", [0.0, 3.0, 5.0])
def test_cropped_at_the_skin(found, inside_mm):
    at = (48.0, 0.0, 0.0)
    drawn = within(ball(25, at), BODY_MM - inside_mm)
    assert found(CTV=ball(20, at), PTV=drawn) == (DerivedRule("PTV", "CTV", FIVE, inside_mm),)


def test_near_the_skin_and_not_cropped(found):
    """4 mm under the skin, where it is not cut back: no crop is read into it."""
    at = (41.0, 0.0, 0.0)
    assert found(CTV=ball(20, at), PTV=ball(25, at)) == (DerivedRule("PTV", "CTV", FIVE, 0.0),)


def test_two_dose_levels_follow_each_their_own(found):
    high, low = ball(12, (6.0, 0.0, 0.0)), ball(24)
    rules = found(
        CTV_7000=high, CTV_5600=low, PTV_7000=ball(17, (6.0, 0.0, 0.0)), PTV_5600=ball(32),
    )  # fmt: skip
    assert rules == (
        DerivedRule("PTV_7000", "CTV_7000", FIVE, 0.0),
        DerivedRule("PTV_5600", "CTV_5600", Margins.all_round(8.0), 0.0),
    )


def test_a_source_of_another_name_is_found_by_where_it_lies(found):
    beside = ball(10, (45.0, 0.0, 0.0))
    rules = found(GTV=ball(8), CTV_Boost=ball(15), CTV_Node=beside, PTV_High=ball(20))
    assert rules == (DerivedRule("PTV_High", "CTV_Boost", FIVE, 0.0),)


@pytest.mark.parametrize(
    "drawn",
    [
        without(ball(25), circle(14, 0.0, 32.0)),  # an organ behind it left out
        without(ball(25), circle(12)),  # the target of another dose left out
        {index: (loops[0] * (1 + 0.2 * np.cos(3 * TURN)[:, None]),) for index, loops in ball(25).items()},  # by hand
        ball(20),  # the CTV itself
        ball(60),  # a region round it
    ],
)
def test_what_is_no_target_with_a_margin_follows_nothing(found, drawn):
    assert found(CTV=ball(20), PTV=drawn) == ()


def test_what_a_configured_rule_makes_is_left_alone(found):
    drawn = {"CTV_7000": ball(20), "PTV_7000": ball(25)}
    assert found(("PTV_7000",), **drawn) == ()
    assert found(("CTV_7000",), **drawn) == ()


def test_organs_and_controls_are_no_targets(body):
    ring = structure("PTV_Ring", ball(25), 3, StructureKind.OTHER)
    assert recognised_rules((body, structure("CTV", ball(20)), ring), GRID) == ()


def test_a_program_that_grows_in_pixels_has_the_margin_that_it_drew(body):
    """5 mm from pixel to pixel of 2 mm are two pixels straight on: outlines 4 mm apart."""
    x_mm, y_mm, z_mm = GRID.axes_mm()
    mask = x_mm**2 + y_mm[:, None] ** 2 + z_mm[:, None, None] ** 2 < 20**2
    wide = ndimage.distance_transform_edt(~mask, sampling=GRID.spacing_mm[::-1]) <= 5

    def drawn(name: str, inside: np.ndarray) -> Structure:
        corners = {index: border_outline(plane) for index, plane in enumerate(inside) if plane.any()}
        origin, pixel = np.array(GRID.origin_mm[:2]), np.array(GRID.spacing_mm[:2])
        return structure(name, {index: tuple(origin + loop * pixel for loop in own) for index, own in corners.items()})

    (rule,) = recognised_rules((body, drawn("CTV", mask), drawn("PTV", wide)), GRID)
    assert rule.margins_mm.axes[:2] == ((4.0, 4.0), (4.0, 4.0))
