"""From today's objects and the reference to today's anatomy: registered, contoured, judged, and written as objects."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

import numpy as np

from appliance.case.today.changes import changes_of
from appliance.case.today.contours import contours_today
from appliance.case.today.density import DayDensity, density_map
from appliance.case.today.laid import reference_today
from appliance.case.today.likeness import check_likeness
from appliance.case.today.match import match_day
from appliance.case.today.metal import metal_findings
from appliance.case.today.modality import DayImage, Imaging
from appliance.case.today.reading import Day, Reference, read_reference, read_today
from appliance.case.today.registering import judged, registered
from appliance.case.today.seen import SeenRegion, seen_region
from appliance.case.today.start import start_of
from appliance.case.today.table_shift import table_shift
from appliance.case.today.writing import write_anatomy, write_registration
from appliance.config import AnatomyConfig
from appliance.contracts import Finding, Image, Received, Structure, StructureKind
from appliance.contracts.anatomy import (
    Anatomy,
    AnatomyReport,
    DensitySource,
    Measure,
    ReferenceToday,
    Segmenter,
    Verdict,
)
from appliance.contracts.progress import Progress
from engines.grid import VoxelSet, voxels_taken
from engines.registration import RegistrationQuality


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
    *,
    segmenter: Segmenter | None = None,
) -> tuple[Anatomy, ReferenceToday]:
    """received: today's images, perhaps a structure set drawn on them and a registration of them, and the plan and dose
    that are adapted; reference: images and structure set of the plan's day. What is made for today goes into `folder`
    (`writing.py`).

    Raises InconsistentCase (`day.*`, `case.identity`, what reading raises), RefusedObject, DiskFull, WriteFailed."""
    clock = _Clock(progress)
    with clock.step("reading both days"):
        before = read_reference(reference, received)
        today, image = read_today(received, before, config)
        told, findings = match_day(before.known, image, config, on=date.today())
    with clock.step("registration"):
        is_deformable = not today.is_drawn and config.registration == "deformable"
        start = start_of(received, today, before)
        found = registered(
            today, before, progress, is_deformable=is_deformable, imaging=image.imaging, start=start.rigid
        )
    with clock.step("checking the image"):
        findings += check_likeness(before.known, image, today.hu, found.rigid).findings
        seen = seen_region(before.known, image, found.field)
    with clock.step("contours"):
        drawn = contours_today(today, before, found, seen, config=config, segmenter=segmenter)
        structures = drawn.structures
    with clock.step("density"):
        density = density_map(before.known, image, found.field, seen=seen, settings=config, structures=structures)
        metal = () if image.imaging is Imaging.MR else metal_findings(today.hu, today.grid, before.known, found.field)
    with clock.step("measuring the registration"):
        quality, measures = judged(found, _in_the_image(structures, seen))
    with clock.step("what changed"):
        laid = reference_today(before, seen.larger, found.rigid)
        changes = changes_of(structures, laid, _alike(quality))
    isocentre_mm, position = _isocentre(today, before)
    findings += (*start.judged(found.rigid, isocentre_mm), *seen.findings, *density.findings, *metal)
    report = AnatomyReport(
        verdict=verdict_of(measures, findings),
        table_shift=table_shift(found.rigid, isocentre_mm, position),
        to_reference=tuple(tuple(row) for row in found.rigid.matrix.tolist()),
        method=found.method,
        field_spacing_mm=found.field.grid.spacing_mm if found.method else (0.0, 0.0, 0.0),
        density=density.source,
        measures=measures,
        changes=changes,
        findings=findings,
        notes=(*told, *drawn.notes, *density.notes),
        recognised=drawn.recognised,
    )
    with clock.step("writing"):
        write_registration(today, before, found, folder)
        made = None if today.is_drawn else write_anatomy(structures, today, before, folder)
    anatomy = Anatomy(replace(report, seconds=clock.seconds), made, _own_density(image, seen, density))
    return anatomy, laid


def _own_density(image: DayImage, seen: SeenRegion, density: DayDensity) -> Image | None:
    """None where today's image itself is what dose is computed on."""
    is_own = density.source is DensitySource.TODAY_CT and image.imaging is Imaging.CT and not seen.extends
    return None if is_own else density.image


def _in_the_image(structures: Sequence[Structure], seen: SeenRegion) -> dict[str, VoxelSet]:
    """Organs and targets as far as today's image goes, by name."""
    drawn = (item for item in structures if item.kind is not StructureKind.EXTERNAL)
    return {item.tg263: voxels_taken(item.voxels, seen.larger, seen.grid) for item in drawn}


def _alike(quality: RegistrationQuality) -> dict[str, float]:
    return {name: one.after for name, one in quality.organs.items() if math.isfinite(one.after)}


def verdict_of(measures: Sequence[Measure], findings: Sequence[Finding]) -> Verdict:
    """The worst of all."""
    verdicts = {measure.verdict for measure in measures}
    if Verdict.STOP in verdicts or any(one.stops for one in findings):
        return Verdict.STOP
    return Verdict.LOOK if Verdict.LOOK in verdicts or any(one.warns for one in findings) else Verdict.WITHIN


def _isocentre(today: Day, before: Reference) -> tuple[tuple[float, float, float], str]:
    """The plan's, or without a plan the middle of the targets; and how the patient lies."""
    position = today.series.patient_position or before.series.patient_position
    if before.plan is not None:
        return before.plan.plan.beams[0].isocentre_mm, position
    targets = [item.voxels for item in before.structures if _is_target(item)] or [before.body]
    x, y, z = np.concatenate([before.grid.centres_mm(region.index) for region in targets]).mean(axis=0).tolist()
    return (x, y, z), position


def _is_target(structure: Structure) -> bool:
    return structure.kind is StructureKind.TARGET and not structure.voxels.empty
