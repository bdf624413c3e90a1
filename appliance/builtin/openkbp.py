"""A packed OpenKBP patient written as a DICOM study: CT, structure set with an External, and the reference dose."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

from appliance.builtin.cases import kind_of
from appliance.builtin.contouring import along_voxels, voxels_of
from appliance.builtin.packed import FRACTIONS, PackedPatient, read_packed
from appliance.builtin.stamp import Stamp
from appliance.builtin.writer import StudyWriter, refuse_used_folder, whole_or_nothing
from appliance.contracts import Identity, Image, SourceObject, Structure

COLOURS = MappingProxyType(
    {
        "External": (160, 160, 160),
        "Brainstem": (60, 200, 200),
        "SpinalCord": (60, 200, 90),
        "Parotid_R": (80, 110, 230),
        "Parotid_L": (80, 180, 230),
        "Esophagus": (150, 100, 50),
        "Larynx": (170, 120, 230),
        "Bone_Mandible": (230, 220, 160),
        "PTV_5600": (240, 190, 60),
        "PTV_6300": (240, 120, 40),
        "PTV_7000": (230, 40, 40),
    }
)

PROVENANCE = (
    "OpenKBP (Babier et al., Med Phys 48:5549, 2021). External is derived: largest part of the CT above air, holes "
    "filled slice by slice. Contours follow voxel borders."
)
DOSE_DESCRIPTION = f"OpenKBP reference dose, all {FRACTIONS} fractions"

STUDY_DATE, STUDY_TIME = "20210601", "080000"
"""Synthetic: the data have no dates; the month is that of the challenge's report."""


def import_openkbp(npz: Path, folder: Path, *, uid_seed: str | None = None) -> tuple[SourceObject, ...]:
    """Writes CT_0001.dcm …, RS.dcm and, where the file has a dose, RD.dcm into `folder`, new or empty; returns them in
    that order.

    HU = value − 1000. Contours run along voxel borders, so that they enclose exactly the labelled voxels. The identity
    is synthetic (OPENKBP-34 for pt_34.npz) and the frame of reference has its origin in the middle of the challenge's
    full grid. The dose is of the whole course and has no plan; the prescription is not in the data but in the goal
    set. Raises RefusedObject for a file that cannot be used, such as one without CT; RefusedInput for a folder in use;
    DiskFull, WriteFailed, after which nothing of the study is left.
    """
    patient = read_packed(npz)
    refuse_used_folder(folder)
    stamp = Stamp(f"openkbp/{patient.name}", uid_seed)
    writer = StudyWriter(folder, _identity(patient, stamp), stamp.uid("frame-of-reference"), stamp)
    with whole_or_nothing(folder):
        images = writer.write_images(Image(patient.grid, patient.hu), "OpenKBP")
        structures = writer.write_structures(_structures(patient), images, label="OpenKBP", description=PROVENANCE)
        if patient.dose_gy is None:
            return (*images, structures)
        dose = writer.write_dose(patient.grid, patient.dose_gy, structures, description=DOSE_DESCRIPTION)
        return (*images, structures, dose)


def _identity(patient: PackedPatient, stamp: Stamp) -> Identity:
    return Identity(
        patient_id=f"OPENKBP-{patient.name}",
        patient_name=f"OpenKBP^{patient.name}",
        birth_date="",
        sex="",
        study_instance_uid=stamp.uid("study"),
        study_id=patient.name[:16],
        study_date=STUDY_DATE,
        study_time=STUDY_TIME,
        study_description="OpenKBP head and neck",
    )


def _structures(patient: PackedPatient) -> tuple[Structure, ...]:
    structures = []
    for number, (name, mask) in enumerate(patient.masks.items(), start=1):
        contours = along_voxels(mask, patient.grid)
        voxels = voxels_of(contours, patient.grid)
        structures.append(Structure(number, name, name, kind_of(name), contours, voxels, COLOURS[name]))
    return tuple(structures)
