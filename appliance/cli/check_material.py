"""What `couchside check` looks at: objects read one by one, each refusal kept in words, so that one broken object does
not hide what is wrong with the others."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from appliance.case import (
    ImageSeries,
    PlanReading,
    StructureReading,
    check_of_one_plan,
    read_dose,
    read_plan,
    read_plan_file,
)
from appliance.checking import Material, Objects, compare_doses
from appliance.cli.dose import calculate_on
from appliance.cli.plan_on_ct import read_series, series_of, structure_set_of, structures_on
from appliance.config import PlanningConfig
from appliance.contracts import CalculatedDose, Received, StructureKind
from appliance.contracts.progress import Progress
from appliance.dicomio.read import read_dataset
from appliance.errors import CouchsideError, RefusedInput
from appliance.inbound import read_folder
from appliance.planning import (
    check_plan,
    load_calibrated,
    load_machine,
    misplaced_isocentres,
    missing_anatomy,
    source_mm,
)
from engines.errors import EngineError

T = TypeVar("T")


@dataclass(frozen=True)
class Asked:
    """The files and folder named on the command line; `ct` also gives the structure set and the doses of beams."""

    rtplan: Path
    rtdose: Path
    ct: Path
    reference: Path | None


class _Gathering:
    """Collects, with the reason for whatever could not be had."""

    def __init__(self) -> None:
        self.refusals: dict[str, str] = {}

    def take(self, name: str, get: Callable[[], T]) -> T | None:
        try:
            return get()
        except CouchsideError as error:
            self.refusals[name] = error.sentence
        except EngineError as error:
            self.refusals[name] = f"it cannot be computed ({error})"
        return None


def gather(asked: Asked, planning: PlanningConfig, tell: Progress) -> Material:
    """Raises RefusedInput only for a plan or dose that is no readable DICOM object at all, or for a dose that was
    predicted; and ModelError."""
    tell("reading", 0.0)
    objects = Objects(
        plan=read_dataset(asked.rtplan, what="RTPLAN"),
        dose=read_dataset(asked.rtdose, what="RTDOSE"),
        reference=None if asked.reference is None else read_dataset(asked.reference, what="The reference plan"),
    )
    if objects.dose is not None:
        check_of_one_plan(objects.dose)
    got = _Gathering()
    reading = got.take("plan", lambda: read_plan_file(asked.rtplan))
    received, copies = _folder(asked.ct)
    frame = "" if reading is None else reading.frame_of_reference_uid
    slices = got.take("image", lambda: series_of(received, frame)) or ()
    series = got.take("image", lambda: read_series(slices)) if slices else None
    drawn = None if series is None else got.take("structures", lambda: structures_on(received, slices, series))
    objects = _completed(objects, asked, received, slices)
    objects = replace(objects, copies=(*copies, *objects.copies))
    reference = asked.reference
    material = Material(
        objects=objects,
        plan=None if reading is None else reading.plan,
        image=None if series is None else series.image,
        structures=() if drawn is None else drawn.structures,
        structure_notes=() if drawn is None else drawn.notes,
        dose=None if reading is None else got.take("dose", lambda: _dose(asked, reading, received)),
        reference=None if reference is None else got.take("reference", lambda: read_plan(reference)),
        refusals=got.refusals,
    )
    return _judged(material, reading, series, drawn, planning, got, tell)


def _judged(
    material: Material,
    reading: PlanReading | None,
    series: ImageSeries | None,
    drawn: StructureReading | None,
    planning: PlanningConfig,
    got: _Gathering,
    tell: Progress,
) -> Material:
    """With what calculating adds: limits, geometry, the second dose."""
    model, _ = load_calibrated(planning.beam_model)
    machine = load_machine(planning.machine)
    material = replace(
        material,
        machine=machine.treatment_machine,
        beam_model=model.name,
        model_energy=(model.energy_mv, model.fluence_mode),
    )
    if reading is None:
        got.refusals.setdefault("second", "the plan cannot be computed")
        return material
    plan = reading.plan
    material = replace(
        material,
        facts=got.take("facts", lambda: check_plan(plan, planning.machine)),
        source_mm={beam.number: source_mm(beam, plan.patient_position) for beam in plan.beams},
    )
    if series is None:
        got.refusals.setdefault("second", "the CT cannot be used")
        return material
    structures = material.structures
    external = next((s.voxels for s in structures if s.kind is StructureKind.EXTERNAL), None)
    missing = got.take("image", lambda: missing_anatomy(plan, series.image, external)) or ()
    material = replace(
        material,
        misplaced=misplaced_isocentres(plan, series.image.grid),
        missing=tuple((beam.sentence, beam.is_serious) for beam in missing),
    )
    second = got.take("second", lambda: calculate_on(reading, series, structures, planning, tell, per_beam=True))
    primary = material.dose
    if second is None or primary is None:
        got.refusals.setdefault("second", got.refusals.get("dose", "there is no dose to compare with"))
        return replace(material, recalculated=second)
    compared = got.take("second", lambda: compare_doses(plan, primary, second, structures))
    return replace(material, recalculated=second, second=compared)


def _folder(folder: Path) -> tuple[tuple[Received, ...], tuple[str, ...]]:
    """(objects, files of one UID with other bytes). Raises RefusedInput for anything else that is wrong with it."""
    try:
        return read_folder(folder), ()
    except RefusedInput as refused:
        if refused.fields.get("rule") != "uid.other-bytes":
            raise
        return (), (f"in the folder of the CT, {refused.sentence}",)


def _completed(objects: Objects, asked: Asked, received: tuple[Received, ...], slices: tuple[Received, ...]) -> Objects:
    """With what the folder gives."""
    sha256 = {item.sop_instance_uid: item.sha256 for item in received}
    wrong = []
    for name, path, dataset in (("plan", asked.rtplan, objects.plan), ("dose", asked.rtdose, objects.dose)):
        uid = "" if dataset is None else str(dataset.SOPInstanceUID)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if sha256.setdefault(uid, digest) != digest:
            wrong.append(f"the {name} and a file beside the CT have one SOP Instance UID and other contents")
    drawn = structure_set_of(received, slices)
    return replace(
        objects,
        images=tuple(read_dataset(item.path, what="CT slice", pixels=False) for item in slices),
        structures=None if drawn is None else read_dataset(drawn.path, what="RTSTRUCT"),
        sha256=sha256,
        copies=tuple(wrong),
    )


def _dose(asked: Asked, reading: PlanReading, received: tuple[Received, ...]) -> CalculatedDose:
    """The plan's dose as somebody else calculated it, with that of each beam where the folder holds all of them."""
    grid, dose_gy = read_dose(asked.rtdose)
    by_beam = {}
    for item in received:
        if (
            item.modality == "RTDOSE"
            and item.summation == "BEAM"
            and reading.source.sop_instance_uid in item.references
        ):
            beam_grid, beam_gy = read_dose(item.path)
            number = _beam_number(item.path)
            if number is not None and beam_grid.same_as(grid):
                by_beam[number] = beam_gy
    numbers = [beam.number for beam in reading.plan.beams]
    beams = tuple(by_beam[number] for number in numbers) if set(numbers) <= set(by_beam) else ()
    return CalculatedDose(grid, dose_gy, reading.plan.digest, "as received", "as received", beams)


def _beam_number(path: Path) -> int | None:
    dataset = read_dataset(path, what="RTDOSE", pixels=False)
    for plan in dataset.get("ReferencedRTPlanSequence") or ():
        for group in plan.get("ReferencedFractionGroupSequence") or ():
            for beam in group.get("ReferencedBeamSequence") or ():
                return int(beam.ReferencedBeamNumber)
    return None
