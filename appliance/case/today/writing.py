"""What was made for today, as files: RS.dcm today's structure set, REG.dcm and DEFORM.dcm how today lies to the
reference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from appliance.case.today.reading import Day, Reference
from appliance.case.today.registering import Registered
from appliance.contracts import Case, Identity, Received, SourceObject, Structure
from appliance.dicomio.files import save_durable
from appliance.dicomio.registration import (
    RegisteredImage,
    deformable_registration_dataset,
    spatial_registration_dataset,
)
from appliance.dicomio.structure_set import structure_set_dataset

STRUCTURES, RIGID, DEFORMABLE = "RS.dcm", "REG.dcm", "DEFORM.dcm"
LABEL = "Today"
RIGID_WORDS = "Rigid registration of today's image to the reference"


def write_registration(today: Day, before: Day, found: Registered, folder: Path) -> None:
    """As DICOM objects, for whoever looks at both images beside each other; nothing where both images are in one frame
    of reference, which no registration object can speak of. Raises DiskFull, WriteFailed, ExportError."""
    sides = [
        RegisteredImage(day.series.identity, day.series.frame_of_reference_uid, day.series.sources)
        for day in (today, before)
    ]
    if sides[0].frame_of_reference_uid == sides[1].frame_of_reference_uid:
        return
    rigid = spatial_registration_dataset(found.rigid, fixed=sides[0], moving=sides[1], comment=RIGID_WORDS)
    save_durable(rigid, folder / RIGID)
    if found.method:
        dataset = deformable_registration_dataset(
            found.field, fixed=sides[0], moving=sides[1], comment="Deformable, with the rigid motion in it"
        )
        save_durable(dataset, folder / DEFORMABLE)


def write_anatomy(structures: Sequence[Structure], today: Day, before: Reference, folder: Path) -> Received:
    """Today's structure set as if it had been received. Raises DiskFull, WriteFailed, ExportError."""
    series = today.series
    return _written(
        structures,
        (series.identity, series.frame_of_reference_uid, series.sources),
        before.known.structures.source,
        folder,
    )


def write_edited(case: Case, structures: Sequence[Structure], folder: Path) -> Received:
    """Today's structure set as a person left it. Raises DiskFull, WriteFailed, ExportError."""
    former = case.structure_predecessor or case.structure_set
    return _written(structures, (case.identity, case.frame_of_reference_uid, case.images), former, folder)


def _written(
    structures: Sequence[Structure],
    image: tuple[Identity, str, tuple[SourceObject, ...]],
    predecessor: SourceObject,
    folder: Path,
) -> Received:
    """image: whose, its frame of reference, its slices."""
    identity, frame_uid, images = image
    dataset = structure_set_dataset(
        structures,
        identity=identity,
        frame_of_reference_uid=frame_uid,
        images=images,
        label=LABEL,
        predecessor=predecessor,
    )
    written = save_durable(dataset, folder / STRUCTURES)
    return Received(
        sop_class_uid=written.sop_class_uid,
        sop_instance_uid=written.sop_instance_uid,
        modality=written.modality,
        series_instance_uid=written.series_instance_uid,
        frame_of_reference_uid=frame_uid,
        patient_key="",
        path=written.path,
        sha256=written.sha256,
        references=tuple(source.sop_instance_uid for source in images),
    )
