"""An RTSTRUCT as structures on today's image, or a sentence that says why it does not belong to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import RTStructureSetStorage

from appliance.case.assigned_density import density_words, read_density
from appliance.case.attributes import identity_of, items, number, refused, source_of, text
from appliance.case.contours import CLOSED, Loops, geometric_types, read_loops, stray_points
from appliance.case.external import EXTERNAL, check_targets_inside, derive_external
from appliance.case.gaps import fill_gaps
from appliance.case.image import ImageSeries
from appliance.case.nomenclature import folded, kind_of, lookup
from appliance.contracts import Contour, DensityOverride, Identity, SourceObject, Structure, StructureKind
from appliance.contracts.origin import ContourOrigin
from appliance.dicomio.origin import read_origin
from appliance.dicomio.read import read_dataset
from appliance.errors import InconsistentCase
from engines.grid import Grid, rasterise

WHAT = "The structure set"
ESSENTIAL = (StructureKind.EXTERNAL, StructureKind.TARGET)
YELLOW = (255, 255, 0)


@dataclass(frozen=True, eq=False)
class StructureReading:
    """structures: with exactly one External. notes: sentences for the clinician. predecessor: the structure set that
    it says it was made from."""

    structures: tuple[Structure, ...]
    notes: tuple[str, ...]
    identity: Identity
    source: SourceObject
    predecessor: SourceObject | None = None


@dataclass(frozen=True, eq=False)
class _Roi:
    number: int
    name: str
    tg263: str
    kind: StructureKind
    frame_of_reference_uid: str
    contours: Dataset | None
    density: DensityOverride | None
    not_modelled: str
    origin: ContourOrigin

    @property
    def what(self) -> str:
        return f"{WHAT}, structure {self.name}"


def read_structures(path: Path, series: ImageSeries) -> StructureReading:
    """The structures drawn on `series`, rasterised on its grid.

    Raises RefusedObject: `structures.class`, `attribute.*`, `contour.values` and the rules of reading a file;
    InconsistentCase: `structures.other-image`, `structures.names`, `structures.numbers`, `structures.empty`,
    `structures.density`, `contour.*`, `external.several`, `external.none`, `target.outside`, `target.beyond-image`."""
    dataset = read_dataset(path, what="RTSTRUCT")
    if text(dataset, "SOPClassUID") != str(RTStructureSetStorage):
        raise refused("RTSTRUCT", "it is no RT Structure Set", "structures.class", "Send the structure set of the case")
    _check_same_image(dataset, series)
    notes: list[str] = []
    rois = _named(_rois(dataset), notes)
    _check_one_external(rois)
    structures = [structure for roi in rois if (structure := _structure(roi, series, notes)) is not None]
    external = next((item for item in structures if item.kind is StructureKind.EXTERNAL), None)
    if external is None:
        external = derive_external(series.image, 1 + max((roi.number for roi in rois), default=0))
        structures.append(external)
        notes.append("The structure set has no External: the body was outlined on the CT. Check it, and the couch")
    notes.extend(check_targets_inside(structures, external))
    return StructureReading(
        structures=tuple(structures),
        notes=tuple(notes),
        identity=identity_of(dataset),
        source=(source := source_of(dataset, path, "RTSTRUCT")),
        predecessor=_predecessor(dataset, source),
    )


def _predecessor(dataset: Dataset, source: SourceObject) -> SourceObject | None:
    """Known by its UID alone."""
    for item in items(dataset, "PredecessorStructureSetSequence"):
        named = text(item, "ReferencedSOPInstanceUID")
        return replace(source, sop_instance_uid=named, series_instance_uid="", sha256="") if named else None
    return None


def _check_same_image(dataset: Dataset, series: ImageSeries) -> None:
    """The frame of reference must be the image's, and whatever slices are referenced must be the image's slices."""
    frames = {text(item, "ReferencedFrameOfReferenceUID") for item in items(dataset, "StructureSetROISequence")}
    frames |= {text(item, "FrameOfReferenceUID") for item in items(dataset, "ReferencedFrameOfReferenceSequence")}
    if frames - {""} and series.frame_of_reference_uid not in frames:
        raise _inconsistent("it was drawn in the frame of reference of another image", "other-image")
    slices = {source.sop_instance_uid for source in series.sources}
    referenced = {
        text(image, "ReferencedSOPInstanceUID")
        for frame in items(dataset, "ReferencedFrameOfReferenceSequence")
        for study in items(frame, "RTReferencedStudySequence")
        for referenced_series in items(study, "RTReferencedSeriesSequence")
        for image in items(referenced_series, "ContourImageSequence")
    }
    drawn_on = {
        text(image, "ReferencedSOPInstanceUID")
        for roi in items(dataset, "ROIContourSequence")
        for contour in items(roi, "ContourSequence")
        for image in items(contour, "ContourImageSequence")
    }
    if (referenced and not referenced & slices) or drawn_on - slices:
        raise _inconsistent("it references slices that are not those of today's image", "other-image")


def _inconsistent(reason: str, rule: str) -> InconsistentCase:
    remedy = "Send the structure set that was drawn on today's image, or the image it was drawn on"
    return InconsistentCase(reason, what=WHAT, remedy=remedy, rule=f"structures.{rule}")


def _rois(dataset: Dataset) -> list[_Roi]:
    contours = {int(number(item, "ReferencedROINumber", WHAT)): item for item in items(dataset, "ROIContourSequence")}
    observations = {
        int(number(item, "ReferencedROINumber", WHAT)): item for item in items(dataset, "RTROIObservationsSequence")
    }
    rois = []
    for item in items(dataset, "StructureSetROISequence"):
        roi_number = int(number(item, "ROINumber", WHAT))
        observation = observations.get(roi_number, Dataset())
        name = text(item, "ROIName") or f"ROI {roi_number}"
        # A label is where Couchside, and others, keep the standard name of a structure that is called differently.
        known = lookup(name) or lookup(text(observation, "ROIObservationLabel"))
        kind = kind_of(name, text(observation, "RTROIInterpretedType"))
        tg263 = EXTERNAL if kind is StructureKind.EXTERNAL else known.tg263 if known else name
        frame = text(item, "ReferencedFrameOfReferenceUID")
        density, not_used = read_density(observation, f"{WHAT}, structure {name}")
        if not not_used and density is None and text(observation, "RTROIInterpretedType") == "BOLUS":
            not_used = "it is a bolus without a density, which is not added to the image"
        drawn = contours.get(roi_number)
        rois.append(_Roi(roi_number, name, tg263, kind, frame, drawn, density, not_used, read_origin(item)))
    if not rois:
        raise _inconsistent("it holds no structures", "empty")
    if len({roi.number for roi in rois}) != len(rois):
        raise _inconsistent("two of its structures have the same number", "numbers")
    return rois


def _named(rois: Sequence[_Roi], notes: list[str]) -> list[_Roi]:
    """Where several structures map to one TG-263 name, the one that bears it keeps it and the others keep their own.
    Several External are left for the rule that refuses them."""
    counts = Counter(roi.tg263 for roi in rois)
    named = []
    for roi in rois:
        if counts[roi.tg263] > 1 and roi.kind is not StructureKind.EXTERNAL and folded(roi.name) != folded(roi.tg263):
            notes.append(f"Structure {roi.name} keeps its own name: more than one could be called {roi.tg263}")
            named.append(replace(roi, tg263=roi.name))
        else:
            named.append(roi)
    repeated = [name for name, count in Counter(folded(roi.tg263) for roi in named).items() if count > 1]
    for roi in named:
        if folded(roi.tg263) in repeated and roi.kind is not StructureKind.EXTERNAL:
            raise _inconsistent(f"two of its structures are called {roi.tg263}", "names")
    return named


def _check_one_external(rois: Sequence[_Roi]) -> None:
    names = [roi.name for roi in rois if roi.kind is StructureKind.EXTERNAL]
    if len(names) > 1:
        raise InconsistentCase(
            f"it has {len(names)} outlines of the patient ({', '.join(names)})",
            what=WHAT,
            remedy="Keep one External and send the structure set again",
            rule="external.several",
        )


def _structure(roi: _Roi, series: ImageSeries, notes: list[str]) -> Structure | None:
    """None, with a note, for a structure that encloses nothing and is neither target nor External."""
    reason = _no_volume(roi, series)
    loops = Loops({}, ()) if reason else read_loops(roi.contours, series.image.grid, roi.what)
    if loops.empty:
        reason = reason or "it is empty"
        if roi.kind in ESSENTIAL:
            remedy = "Contour it on today's image, or remove it, and send the structure set again"
            raise InconsistentCase(reason, what=roi.what, remedy=remedy, rule="structures.empty")
        notes.append(f"Structure {roi.name} was left out: {reason}")
        return None
    _note_stray_points(roi, loops, series.image.grid, notes)
    return _rasterised(roi, loops, series.image.grid, notes)


def _no_volume(roi: _Roi, series: ImageSeries) -> str:
    """Why a structure is no volume on this image, '' if it may be one."""
    types = geometric_types(roi.contours)
    if types and not types & CLOSED:
        return "it holds points or open lines only"
    if roi.frame_of_reference_uid not in ("", series.frame_of_reference_uid):
        return "it was drawn in the frame of reference of another image"
    return ""


def _note_stray_points(roi: _Roi, loops: Loops, grid: Grid, notes: list[str]) -> None:
    if not stray_points([loop for plane in loops.by_plane.values() for loop in plane], grid):
        return
    if roi.kind is StructureKind.TARGET:
        remedy = "Send an image that holds the whole target"
        raise InconsistentCase("it leaves the image", what=roi.what, remedy=remedy, rule="target.beyond-image")
    notes.append(f"Structure {roi.name} leaves the image and was cut off at its border")


def _rasterised(roi: _Roi, loops: Loops, grid: Grid, notes: list[str]) -> Structure:
    _, _, z_mm = grid.axes_mm()
    planes = {float(z_mm[index]): loops.by_plane[index] for index in sorted(loops.by_plane)}
    voxels, filled, left_open = fill_gaps(rasterise(planes, grid), grid)
    said = [roi.not_modelled] if roi.not_modelled else []
    if roi.density is not None:
        said.append(f"it counts with {density_words(roi.density)} instead of its CT number")
    said.extend(loops.notes)
    if filled:
        said.append(f"slices without contour, filled in between their neighbours: {filled}")
    if left_open:
        said.append(f"gaps along the patient, left open: {left_open}")
    if said:
        notes.append(f"Structure {roi.name}: {'; '.join(said)}")
    colour = None if roi.contours is None else roi.contours.get("ROIDisplayColor")
    red, green, blue = (int(value) for value in colour) if colour is not None and len(colour) == 3 else YELLOW
    return Structure(
        number=roi.number,
        name=roi.name,
        tg263=roi.tg263,
        kind=roi.kind,
        contours=tuple(Contour(plane_mm, loop) for plane_mm, plane in planes.items() for loop in plane),
        voxels=voxels,
        colour_rgb=(red, green, blue),
        density=roi.density,
        origin=roi.origin,
    )
