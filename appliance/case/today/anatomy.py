"""From today's objects and the reference to today's anatomy: registered, contoured, judged, and written as objects."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

import numpy as np

from appliance.case.today.changes import changes_of
from appliance.case.today.match import DayReference, match_day
from appliance.case.today.propagate import Carried, carried, moved_region
from appliance.case.today.reading import AIR_HU, Day, Reference, read_reference, read_today
from appliance.case.today.registering import Registered, registered
from appliance.case.today.rules import refusal
from appliance.case.today.table_shift import table_shift
from appliance.case.today.writing import write_anatomy, write_registration
from appliance.config import AnatomyConfig
from appliance.contracts import Finding, Image, Received, Structure, StructureKind
from appliance.contracts.anatomy import Anatomy, AnatomyReport, DensitySource, Measure, ReferenceToday, Verdict
from appliance.contracts.progress import Progress
from engines.registration import DisplacementField, RigidTransform, moved

RECEIVED = "Today's structures came with today's image: they are compared with the reference, nothing was propagated"


@dataclass(eq=False)
class _Clock:
    """Seconds of each step, which is told as it begins."""

    progress: Progress
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        self.progress(name, 0.0)
        began = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - began, 3)


def find_anatomy(
    config: AnatomyConfig,
    received: Sequence[Received],
    reference: Sequence[Received],
    folder: Path,
    progress: Progress,
) -> tuple[Anatomy, ReferenceToday]:
    """received: today's images, perhaps a structure set drawn on them, and the plan and dose that are adapted;
    reference: images and structure set of the plan's day. What is made for today goes into `folder` (`writing.py`).

    Raises InconsistentCase (`day.*`, `case.identity`, what reading raises), RefusedObject, DiskFull, WriteFailed."""
    clock = _Clock(progress)
    with clock.step("reading both days"):
        before = read_reference(reference, received)
        today, image = read_today(received, config.cbct_names)
        known = DayReference(before.series, before.reading, before.plan)
        told, findings = match_day(known, image, config, on=date.today())
    with clock.step("registration"):
        is_deformable = today.drawn is None and config.registration == "deformable"
        found = registered(today, before, progress, is_deformable=is_deformable)
    with clock.step("contours"):
        structures, notes = _contours(today, before, found, config)
    with clock.step("what changed"):
        changes = changes_of(structures, today, before, found.rigid, {})
    position = today.series.patient_position or before.series.patient_position
    isocentre_mm = before.plan.plan.beams[0].isocentre_mm if before.plan else _middle_mm(before)
    report = AnatomyReport(
        verdict=verdict_of((), findings),
        table_shift=table_shift(found.rigid, isocentre_mm, position),
        to_reference=tuple(tuple(row) for row in found.rigid.matrix.tolist()),
        method=found.method,
        field_spacing_mm=(0.0, 0.0, 0.0) if found.field is None else found.field.grid.spacing_mm,
        density=DensitySource.TODAY_CT,
        measures=(),
        changes=changes,
        findings=findings,
        notes=(*told, *notes),
    )
    with clock.step("writing"):
        write_registration(today, before, found, folder)
        made = None if today.drawn else write_anatomy(structures, today, before, folder)
    return Anatomy(replace(report, seconds=clock.seconds), made), reference_today(today, before, found.rigid)


def verdict_of(measures: Sequence[Measure], findings: Sequence[Finding]) -> Verdict:
    """The worst of all."""
    verdicts = {measure.verdict for measure in measures}
    if Verdict.STOP in verdicts or any(one.stops for one in findings):
        return Verdict.STOP
    return Verdict.LOOK if Verdict.LOOK in verdicts or any(one.warns for one in findings) else Verdict.WITHIN


def reference_today(today: Day, before: Reference, rigid: RigidTransform) -> ReferenceToday:
    """To look at beside today."""
    grid, own = today.series.image.grid, before.series.image
    hu = moved(own.hu, own.grid, grid, rigid, outside=AIR_HU)
    field = DisplacementField.of_rigid(rigid, grid)
    structures = []
    for structure in before.structures:
        if structure.kind is not StructureKind.EXTERNAL:
            voxels, _ = moved_region(structure.voxels, own.grid, grid, field)
            structures.append(replace(structure, contours=(), voxels=voxels))
    return ReferenceToday(Image(grid, np.rint(hu).astype(np.int16)), tuple(structures))


def _middle_mm(day: Day) -> tuple[float, float, float]:
    """Without a plan, the middle of the targets stands for its isocentre."""
    targets = [item.voxels for item in day.structures if item.kind is StructureKind.TARGET] or [day.body]
    grid = day.series.image.grid
    x, y, z = np.concatenate([grid.centres_mm(region.index) for region in targets]).mean(axis=0).tolist()
    return x, y, z


def _contours(
    today: Day, before: Reference, found: Registered, config: AnatomyConfig
) -> tuple[tuple[Structure, ...], tuple[str, ...]]:
    """Today's structures and what a person must know of them."""
    if today.drawn is not None:
        return today.structures, (RECEIVED,)
    rigid = DisplacementField.of_rigid(found.rigid, today.series.image.grid)

    def map_of(structure: Structure) -> DisplacementField:
        is_target = structure.kind is StructureKind.TARGET
        return found.field if found.field is not None and not (is_target and config.targets == "rigid") else rigid

    done = carried(before.structures, before.series.image.grid, today.series.image.grid, today.body, map_of)
    _check_lost(done, before.structures)
    number = before.external.number
    if any(item.number == number for item in done.structures) or number == 0:
        number = 1 + max(item.number for item in before.structures)
    external = replace(today.external, number=number, name=before.external.name, colour_rgb=before.external.colour_rgb)
    cut = (f"{name} reaches the end of today's image and may go on beyond it" for name in done.cut)
    lost = (f"{name} does not lie in today's image and has no contour today" for name in done.lost)
    return (external, *done.structures), (*cut, *lost)


def _check_lost(done: Carried, structures: Sequence[Structure]) -> None:
    """Raises InconsistentCase `day.misses-target`."""
    targets = {item.tg263 for item in structures if item.kind is StructureKind.TARGET}
    if missed := sorted(targets & {*done.lost, *done.cut}):
        raise refusal("day.misses-target", f"it does not hold the whole target {', '.join(missed)}")
