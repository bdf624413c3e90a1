"""What was made for today, as files: RS.dcm today's structure set, REG.dcm and DEFORM.dcm how today lies to the
reference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from appliance.case.today.reading import Day
from appliance.case.today.registering import Registered
from appliance.contracts import Received, Structure
from appliance.dicomio.files import save_durable
from appliance.dicomio.structure_set import structure_set_dataset

STRUCTURES, RIGID, DEFORMABLE = "RS.dcm", "REG.dcm", "DEFORM.dcm"
LABEL = "Today"


def write_anatomy(
    structures: Sequence[Structure], today: Day, before: Day, found: Registered, folder: Path
) -> Received:
    """Today's structure set as if it had been received. Raises DiskFull, WriteFailed, ExportError."""
    dataset = structure_set_dataset(
        structures,
        identity=today.series.identity,
        frame_of_reference_uid=today.series.frame_of_reference_uid,
        images=today.series.sources,
        label=LABEL,
        predecessor=None if before.drawn is None else before.drawn.source,
    )
    written = save_durable(dataset, folder / STRUCTURES)
    return Received(
        sop_class_uid=written.sop_class_uid,
        sop_instance_uid=written.sop_instance_uid,
        modality=written.modality,
        series_instance_uid=written.series_instance_uid,
        frame_of_reference_uid=today.series.frame_of_reference_uid,
        patient_key="",
        path=written.path,
        sha256=written.sha256,
        references=tuple(source.sop_instance_uid for source in today.series.sources),
    )
