"""Planning targets of the reference that are another target and a margin: which, and with what margin.

A PTV's outline is measured against that of a CTV, GTV or ITV within it; the source is then grown with the margin that
was measured, by the code that will grow it today, and the rule counts only where this gives the PTV that was drawn. A
PTV that was drawn by hand, or from which something was cut, does not agree and follows no rule.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from scipy.spatial import cKDTree

from appliance.case.nomenclature import folded
from appliance.case.today.deriving import derived_slices, slices_to_derive
from appliance.case.today.drawn import Drawn, Loops
from appliance.case.today.margin_fit import Outline, crop_mm, is_kept, likely_margins
from appliance.contracts import Structure, StructureKind
from appliance.contracts.derived import DerivedRule
from engines.contouring import compare
from engines.contouring.lines import FloatArray, resampled
from engines.grid import Grid, Margins, VoxelSet

LEAST_DICE = 0.95
"""Of the source grown with the margin against the PTV as it was drawn (chosen: a margin 1 mm off has 0.95 on a PTV of
60 mm, and 0.5 mm off on one of 30 mm; two programs that grow by the same margin differ by less)."""
SIMPLER = 0.005
"""Dice that margins which differ by side must gain over one all round (chosen: a slice at one end of a hundred)."""
CLEAR_DICE = 0.99
"""From here on no other margin is tried (chosen: the rest is voxels at the edge)."""
LEAST_WITHIN = 0.9
"""Share of the source that lies in the PTV (chosen: where a PTV is cut back from the skin, its CTV sticks out)."""
MOST_TRIED = 3
"""Sources for one PTV: those of its dose first, then the largest (chosen: it is most likely the largest)."""

SOURCE_STEP_MM = 1.0
"""Between points of the source and of the External (chosen: it makes a distance of 5 mm 0.03 mm longer at most)."""
TARGET_STEP_MM = 2.0
MOST_POINTS = 3000
"""Points of a PTV that are measured (chosen: 0.5 % of them are 15)."""
SKIN_MM = 6.0
"""What lies deeper is not cropped to the External (chosen: a millimetre beyond the most that is looked for)."""

_KIND = re.compile(r"^(itv|ictv|igtv|ctv|gtv|ptv)(.*)$")
_ORDER = ("itv", "ictv", "igtv", "ctv", "gtv")
"""Sources of one dose, the likeliest first: a PTV is grown of what the others are part of."""


def planning_targets(structures: Iterable[Structure]) -> tuple[Structure, ...]:
    return tuple(one for one in structures if _is_target(one) and _kind(one) == "ptv")


def clinical_targets(structures: Iterable[Structure]) -> tuple[Structure, ...]:
    return tuple(one for one in structures if _is_target(one) and _kind(one) in _ORDER)


def recognised_rules(
    structures: Sequence[Structure], grid: Grid, made: Collection[str] = ()
) -> tuple[DerivedRule, ...]:
    """structures: the reference's, with its External. made: what configured rules make, which is neither looked at nor
    taken as a source (so that nothing comes to follow from itself)."""
    external = next((one for one in structures if one.kind is StructureKind.EXTERNAL), None)
    sources = [one for one in clinical_targets(structures) if one.tg263 not in made]
    if external is None or not sources:
        return ()
    body = Drawn.of(external, grid), external.voxels
    wanted = (one for one in planning_targets(structures) if one.tg263 not in made)
    found = (_rule_of(one, sources, body, grid) for one in wanted)
    return tuple(rule for rule in found if rule is not None)


@dataclass(frozen=True, eq=False)
class _Pair:
    """A PTV and what it may be grown of. seen: of the PTV what lies in the External, as a rule would leave it."""

    target: Drawn
    source: Drawn
    external: Drawn
    seen: VoxelSet
    grid: Grid

    def agreement(self, rule: DerivedRule) -> float:
        """Dice of what the rule makes and what was drawn, 0 where they do not agree."""
        slices = slices_to_derive(rule, tuple(self.source.slices), (), self.grid)
        loops = derived_slices(rule, self.source, self.external, self.grid, slices)
        grown = Drawn(self.source.facts, {}).redrawn(loops, self.grid).structure(self.grid).voxels
        if not all((one.fraction >= 0.5).any() for one in (grown, self.seen)):
            return 0.0
        change = compare(self.seen, grown, self.grid)
        agrees = change.dice >= LEAST_DICE and change.p95_mm <= max(self.grid.spacing_mm)
        return change.dice if agrees else 0.0

    def outline(self) -> Outline:
        points = _points(self.target.shapes(self.grid).items(), self.grid, TARGET_STEP_MM)
        points = points[:: -(-len(points) // MOST_POINTS)]
        own = _points(self.source.shapes(self.grid).items(), self.grid, SOURCE_STEP_MM)
        _, nearest = cKDTree(own).query(points)
        return Outline(points - own[nearest], self._depth_mm(points))

    def _depth_mm(self, points: FloatArray) -> FloatArray:
        """Of each point to the External's outline, infinite beyond SKIN_MM."""
        low, high = points.min(axis=0) - SKIN_MM, points.max(axis=0) + SKIN_MM
        z_mm = self.grid.axes_mm()[2]
        near = np.flatnonzero((z_mm >= low[2]) & (z_mm <= high[2])).tolist()
        skin = _points(((index, self.external.shape(index, self.grid)) for index in near), self.grid, SOURCE_STEP_MM)
        skin = skin[((skin >= low) & (skin <= high)).all(axis=1)]
        if not len(skin):
            return np.full(len(points), np.inf)
        return np.asarray(cKDTree(skin).query(points, distance_upper_bound=SKIN_MM)[0], np.float64)

    def ends_mm(self) -> tuple[float | None, float | None]:
        """How far the PTV goes on beyond its source upwards and downwards; None where the image ends before it."""
        step_mm, last = self.grid.spacing_mm[2], self.grid.shape[0] - 1
        up = (max(self.target.slices) - max(self.source.slices)) * step_mm
        down = (min(self.source.slices) - min(self.target.slices)) * step_mm
        return None if max(self.target.slices) == last else up, None if min(self.target.slices) == 0 else down


def _rule_of(
    target: Structure, sources: Sequence[Structure], body: tuple[Drawn, VoxelSet], grid: Grid
) -> DerivedRule | None:
    drawn, seen = Drawn.of(target, grid), target.voxels.intersection(body[1])
    for source in _in_question(target, sources):
        pair = _Pair(drawn, Drawn.of(source, grid), body[0], seen, grid)
        if (rule := _fitting(pair)) is not None:
            return rule
    return None


def _fitting(pair: _Pair) -> DerivedRule | None:
    outline, best, agreed = pair.outline(), None, 0.0
    for margins in likely_margins(outline, pair.ends_mm(), pair.grid):
        if is_kept(outline, margins, pair.grid):
            rule = _rule(pair, margins, crop_mm(outline, margins, pair.grid))
            if (agreement := pair.agreement(rule)) > agreed + SIMPLER:
                best, agreed = rule, agreement
        if agreed >= CLEAR_DICE:
            break
    return best


def _rule(pair: _Pair, margins: Margins, inside_mm: float) -> DerivedRule:
    return DerivedRule(pair.target.facts.tg263, pair.source.facts.tg263, margins, inside_mm)


def _in_question(target: Structure, sources: Sequence[Structure]) -> Iterator[Structure]:
    """Of the same dose or name first, then the others, the largest first."""
    named = [one for one in sources if _suffix(one) == _suffix(target)]
    others = [one for one in sources if _suffix(one) != _suffix(target)]
    named.sort(key=lambda one: _ORDER.index(_kind(one)))
    others.sort(key=lambda one: -float(one.voxels.fraction.sum()))
    within = (one for one in (*named, *others) if _share_within(one.voxels, target.voxels) >= LEAST_WITHIN)
    return islice(within, MOST_TRIED)


def _share_within(inner: VoxelSet, outer: VoxelSet) -> float:
    return float(inner.intersection(outer).fraction.sum() / inner.fraction.sum())


def _points(shapes: Iterable[tuple[int, Loops]], grid: Grid, step_mm: float) -> FloatArray:
    """(n, 3) x, y, z along the loops of slices."""
    z_mm = grid.axes_mm()[2]
    flat = [(resampled(loop, step_mm), z_mm[index]) for index, loops in shapes for loop in loops]
    return np.concatenate([np.zeros((0, 3)), *(np.column_stack([own, np.full(len(own), z)]) for own, z in flat)])


def _is_target(structure: Structure) -> bool:
    return structure.kind is StructureKind.TARGET and not structure.voxels.empty


def _kind(structure: Structure) -> str:
    match = _KIND.match(folded(structure.tg263))
    return match[1] if match else ""


def _suffix(structure: Structure) -> str:
    match = _KIND.match(folded(structure.tg263))
    return match[2] if match else ""
