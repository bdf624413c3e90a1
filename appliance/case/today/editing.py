"""The desk at which a person corrects today's contours: edits, what follows from them, undo and redo.

A state is immutable and shares with the one before every slice that an edit did not touch, so that any number of edits
can be undone and undoing is exact. The same edits on the same structures give the same contours and voxels, so a
session stores the edits and plays them again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from appliance.case.external import MOST_OUTSIDE
from appliance.case.today.deriving import derived_slices, in_order, slices_to_derive
from appliance.case.today.drawn import NOTHING, Drawn, changed_slices
from appliance.case.today.slice_edits import Redrawn, redrawn_slices
from appliance.contracts import Structure, StructureKind
from appliance.contracts.contour_edit import ContourEdit, Release
from appliance.contracts.derived import DerivedRule
from appliance.contracts.origin import ContourOrigin, Origin
from appliance.errors import RefusedContourEdit
from engines.grid import Grid

ESSENTIAL = (StructureKind.EXTERNAL, StructureKind.TARGET)


@dataclass(frozen=True, eq=False)
class DeskChange:
    """structures: those that are other than before, as they are now. slices: for each the image slices on which it
    changed. notes: sentences on what was left out or filled in."""

    structures: tuple[Structure, ...]
    slices: Mapping[str, tuple[int, ...]]
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(structure.tg263 for structure in self.structures)


@dataclass(frozen=True, eq=False)
class _State:
    """drawn: by TG-263 name, in the order of the structures. edit: which led here, None: the beginning."""

    drawn: Mapping[str, Drawn]
    rules: tuple[DerivedRule, ...]
    edit: ContourEdit | None = None


class ContourDesk:
    """The structures of a case and the rules that some of them follow. Structures are known by their TG-263 names.

    A structure that a rule makes and that is not marked as made by just this rule is derived when the desk is set up
    (`made_at_start`), or added where there is none. One that a person edited, which takes a release, stays as it is and
    its rule is left out. Not for several threads at once."""

    def __init__(self, structures: Sequence[Structure], grid: Grid, rules: Sequence[DerivedRule] = ()) -> None:
        """Raises RefusedContourEdit for rules that name no structure, follow from each other, or leave nothing."""
        self._grid = grid
        self._structures = {structure.tg263: structure for structure in structures}
        drawn = {name: Drawn.of(structure, grid) for name, structure in self._structures.items()}
        self._external = next(s.tg263 for s in structures if s.kind is StructureKind.EXTERNAL)
        state = _State(drawn, in_order([rule for rule in rules if not _is_edited(drawn.get(rule.name))]))
        self._past = [self._all_derived(state)]
        self._future: list[_State] = []
        self.made_at_start = self._show(state, self._past[-1]).names

    @property
    def structures(self) -> tuple[Structure, ...]:
        return tuple(self._structures.values())

    @property
    def rules(self) -> tuple[DerivedRule, ...]:
        return self._past[-1].rules

    @property
    def edits(self) -> tuple[ContourEdit, ...]:
        """Those in effect, the first first: played on the same structures and rules they lead here."""
        return tuple(state.edit for state in self._past if state.edit is not None)

    def apply(self, edit: ContourEdit, *, by: str = "", at_utc: str = "") -> DeskChange:
        """by, at_utc: of the origin that changed structures get. What was undone cannot be redone after it. Raises
        RefusedContourEdit, and then nothing has changed."""
        before = self._past[-1]
        after, notes = self._edited(before, edit, ContourOrigin(Origin.EDITED, by, at_utc))
        self._past.append(after)
        self._future.clear()
        return self._show(before, after, notes)

    def undo(self) -> DeskChange:
        """Raises RefusedContourEdit at the beginning."""
        if len(self._past) == 1:
            raise RefusedContourEdit("there is no edit to undo", remedy="These are the contours as they came")
        self._future.append(self._past.pop())
        return self._show(self._future[-1], self._past[-1])

    def redo(self) -> DeskChange:
        """Raises RefusedContourEdit where nothing was undone."""
        if not self._future:
            raise RefusedContourEdit("there is no edit to redo", remedy="Nothing was undone, or it was edited since")
        self._past.append(self._future.pop())
        return self._show(self._past[-2], self._past[-1])

    def _edited(self, state: _State, edit: ContourEdit, origin: ContourOrigin) -> tuple[_State, tuple[str, ...]]:
        name = edit.structure
        if name not in state.drawn:
            raise RefusedContourEdit(f"there is no structure {name}", remedy=f"Choose from {', '.join(state.drawn)}")
        rule = next((rule for rule in state.rules if rule.name == name), None)
        if isinstance(edit, Release):
            if rule is None:
                raise RefusedContourEdit(f"{name} follows from no other structure", remedy="It can be edited as it is")
            drawn = {**state.drawn, name: _marked(state.drawn[name], origin)}
            return _State(drawn, tuple(one for one in state.rules if one is not rule), edit), ()
        if rule is not None:
            remedy = f"Edit {rule.source}, or release {name} from its rule"
            raise RefusedContourEdit(f"{name} follows from {rule.source} ({rule.words})", remedy=remedy)
        before = state.drawn[name]
        made = redrawn_slices(before, edit, self._grid)
        after = before.redrawn(made.loops, self._grid)
        changed = {name: changed_slices(before, after)}
        if changed[name]:
            after = _marked(after, origin)
        drawn = {**state.drawn, name: after}
        for follower in state.rules:
            self._derive(follower, drawn, changed, origin)
        for one in changed:
            _refuse_emptied(drawn[one])
        for one in changed if self._external not in changed else drawn:
            _refuse_outside(drawn[one], drawn[self._external])
        return _State(drawn, state.rules, edit), _notes(name, made, after)

    def _derive(
        self, rule: DerivedRule, drawn: dict[str, Drawn], changed: dict[str, tuple[int, ...]], origin: ContourOrigin
    ) -> None:
        """Brings a structure after what it follows from, in place, where that changed."""
        reached = slices_to_derive(rule, changed.get(rule.source, ()), changed.get(self._external, ()), self._grid)
        if not reached:
            return
        before = drawn[rule.name]
        loops = derived_slices(rule, drawn[rule.source], drawn[self._external], self._grid, reached)
        after = before.redrawn(loops, self._grid)
        changed[rule.name] = changed_slices(before, after)
        if changed[rule.name]:
            drawn[rule.name] = _following(after, rule, origin)

    def _all_derived(self, state: _State) -> _State:
        drawn = dict(state.drawn)
        every = range(self._grid.shape[0])
        for rule in state.rules:
            if rule.source not in drawn:
                reason = f"there is no structure {rule.source} that {rule.name} could follow from"
                raise RefusedContourEdit(reason, remedy=f"Choose from {', '.join(drawn)}")
            own = drawn.get(rule.name)
            if own is not None and _follows(own, rule):
                continue
            empty = Drawn(own.facts if own else self._new(rule, drawn), {})
            loops = derived_slices(rule, drawn[rule.source], drawn[self._external], self._grid, every)
            drawn[rule.name] = _following(empty.redrawn(loops, self._grid), rule, ContourOrigin(Origin.DERIVED))
            _refuse_emptied(drawn[rule.name])
        return _State(drawn, state.rules)

    def _new(self, rule: DerivedRule, drawn: Mapping[str, Drawn]) -> Structure:
        number = 1 + max(own.facts.number for own in drawn.values())
        return replace(drawn[rule.source].facts, number=number, name=rule.name, tg263=rule.name)

    def _show(self, before: _State, after: _State, notes: tuple[str, ...] = ()) -> DeskChange:
        """Brings `structures` to a state; what changed by it."""
        changed = [name for name, own in after.drawn.items() if before.drawn.get(name) is not own]
        for name in changed:
            self._structures[name] = after.drawn[name].structure(self._grid)
        slices = {name: changed_slices(before.drawn.get(name), after.drawn[name]) for name in changed}
        return DeskChange(tuple(self._structures[name] for name in changed), slices, notes)


def _marked(drawn: Drawn, origin: ContourOrigin) -> Drawn:
    """As edited, with what it was before its first edit."""
    old = drawn.facts.origin
    before = Origin.RECEIVED.value if old is None else old.from_ if old.kind is Origin.EDITED else old.kind.value
    return replace(drawn, facts=replace(drawn.facts, origin=replace(origin, from_=before)))


def _following(drawn: Drawn, rule: DerivedRule, origin: ContourOrigin) -> Drawn:
    made = replace(origin, kind=Origin.DERIVED, from_=rule.words)
    return replace(drawn, facts=replace(drawn.facts, origin=made))


def _follows(drawn: Drawn, rule: DerivedRule) -> bool:
    origin = drawn.facts.origin
    return origin is not None and origin.kind is Origin.DERIVED and origin.from_ == rule.words


def _is_edited(drawn: Drawn | None) -> bool:
    return drawn is not None and drawn.facts.origin is not None and drawn.facts.origin.kind is Origin.EDITED


def _refuse_emptied(drawn: Drawn) -> None:
    """No External and no target may vanish: a case without them is refused."""
    if not any(own.loops for own in drawn.slices.values()) and drawn.facts.kind in ESSENTIAL:
        name = drawn.facts.tg263
        raise RefusedContourEdit(f"nothing would be left of {name}", remedy="Draw it elsewhere first")


def _refuse_outside(drawn: Drawn, external: Drawn) -> None:
    """What would be refused when the structure set is read back."""
    if drawn.facts.kind is not StructureKind.TARGET:
        return
    outside = total = 0.0
    for index, own in drawn.slices.items():
        body = external.slices.get(index)
        outside += float(own.voxels.difference(body.voxels if body else NOTHING).fraction.sum())
        total += float(own.fraction.sum())
    if outside > MOST_OUTSIDE * total:
        raise RefusedContourEdit(
            f"{outside / total:.0%} of the target {drawn.facts.tg263} would lie outside the body",
            remedy="Correct the External first, or draw within it",
        )


def _notes(name: str, made: Redrawn, after: Drawn) -> tuple[str, ...]:
    notes = []
    if made.crumbs_mm2 > 0:
        notes.append(f"{name}: parts or holes of {made.crumbs_mm2:.2f} mm² together were too small to keep")
    filled = sum(1 for index, loops in made.loops.items() if not loops and index in after.slices)
    if filled:
        notes.append(f"{name}: slices without contour, filled in between their neighbours: {filled}")
    if not after.slices:
        notes.append(f"{name} has no contours any more")
    return tuple(notes)
