"""The structures: closed, on the planes, without gaps, inside the body, with their margins."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from appliance.checking.attributes import items, number, numbers, text
from appliance.checking.material import Material
from appliance.checking.registry import MPPG_11A, TG_275, Said, check, found, not_tested, passed, verdict
from appliance.contracts import Severity, Structure, StructureKind

PLANE_TOLERANCE_MM = 0.5
"""A contour this far from a plane of the image was drawn on another one (chosen: a sixth of a usual slice)."""
CLINICAL = ("CTV", "GTV", "ITV")


@check("contours.readable", "The structure set can be used on this CT", Severity.STOP, source=TG_275)
def readable(material: Material) -> Said:
    if material.objects.structures is None:
        return not_tested("there is no structure set")
    if not material.structures:
        return found(material.why_no("structures"))
    return passed(f"{len(material.structures)} structures, one of them the outline of the body")


@check("contours.closed", "Contours are closed and planar", Severity.WARN, source="DICOM PS3.3 C.8.8.6")
def closed(material: Material) -> Said:
    if material.objects.structures is None:
        return not_tested("there is no structure set")
    wrong, count = [], 0
    for roi in items(material.objects.structures, "ROIContourSequence"):
        for contour in items(roi, "ContourSequence"):
            kind, points = text(contour, "ContourGeometricType"), numbers(contour, "ContourData")
            count += 1
            if kind not in ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR", "POINT") or (kind != "POINT" and len(points) < 9):
                wrong.append(f"ROI {text(roi, 'ReferencedROINumber')} has a contour of type {kind or 'none'}")
            elif max(points[2::3]) - min(points[2::3]) > PLANE_TOLERANCE_MM:
                wrong.append(f"ROI {text(roi, 'ReferencedROINumber')} has a contour that leaves its plane")
    return verdict(wrong, f"{count} contours are closed and planar") if count else not_tested("there is no contour")


@check("contours.on-planes", "Contours lie on planes of the image", Severity.WARN, source=TG_275)
def on_planes(material: Material) -> Said:
    if material.image is None or not material.structures:
        return not_tested(material.why_no("structures"))
    z_mm, wrong, farthest = material.image.grid.axes_mm()[2], [], 0.0
    for structure in material.structures:
        off = [float(np.abs(z_mm - contour.z_mm).min()) for contour in structure.contours]
        farthest = max([farthest, *off])
        if off and max(off) > PLANE_TOLERANCE_MM:
            wrong.append(f"{structure.name} has contours up to {max(off):.1f} mm off the nearest plane")
    return verdict(wrong, f"all within {farthest:.2f} mm of a plane")


@check("contours.gaps", "No slice is left out between contours", Severity.WARN, source=TG_275)
def gaps(material: Material) -> Said:
    if material.image is None or not material.structures:
        return not_tested(material.why_no("structures"))
    wrong = []
    step_mm = material.image.grid.spacing_mm[2]
    for structure in material.structures:
        planes = np.unique(np.round([contour.z_mm for contour in structure.contours], 2))
        missing = np.flatnonzero(np.diff(planes) > 1.5 * step_mm) if planes.size > 1 else np.zeros(0, int)
        if missing.size:
            wrong.append(f"{structure.name} has {missing.size} gaps, the first above z = {planes[missing[0]]:.1f} mm")
    return verdict([*wrong, *material.structure_notes], f"{len(material.structures)} structures without a gap")


@check("contours.inside-body", "The outline covers targets and organs", Severity.WARN, source=MPPG_11A)
def inside_body(material: Material) -> Said:
    external = next((s for s in material.structures if s.kind is StructureKind.EXTERNAL), None)
    if material.image is None or external is None:
        return not_tested(material.why_no("structures"))
    body, wrong = external.voxels.mask(material.image.grid.shape).reshape(-1), []
    inner = [s for s in material.structures if s.kind in (StructureKind.TARGET, StructureKind.ORGAN)]
    for structure in inner:
        outside = ~body[structure.voxels.index] & (structure.voxels.fraction >= 0.5)
        share = (
            100.0 * float(structure.voxels.fraction[outside].sum()) / max(float(structure.voxels.fraction.sum()), 1e-9)
        )
        if share > 1.0:
            wrong.append(f"{share:.0f} % of {structure.name} lies outside the body")
    return verdict(wrong, f"{len(inner)} targets and organs lie inside the body to 99 %")


@check("contours.margin", "Planning targets contain the clinical ones", Severity.WARN, source=f"{MPPG_11A} (margins)")
def margin(material: Material) -> Said:
    """Smallest distance from CTV, GTV or ITV to the outside of the planning target that holds it best. Margins
    themselves are a department's: stated, not judged."""
    if material.image is None:
        return not_tested(material.why_no("image"))
    targets = [s for s in material.structures if s.kind is StructureKind.TARGET and not s.voxels.empty]
    inner = [s for s in targets if s.tg263.upper().startswith(CLINICAL)]
    outer = [s for s in targets if s.tg263.upper().startswith("PTV")]
    if not inner or not outer:
        return not_tested("the structures hold no pair of clinical and planning target")
    wrong, told = [], []
    for structure in inner:
        best = max(outer, key=lambda s: np.isin(structure.voxels.index, s.voxels.index).mean())
        share = float(np.isin(structure.voxels.index, best.voxels.index).mean())
        if share < 0.99:
            wrong.append(f"{100 - 100 * share:.0f} % of {structure.name} lies outside {best.name}")
        told.append(f"{structure.name} at least {_margin_mm(structure, best, material):.1f} mm inside {best.name}")
    return verdict(wrong, "; ".join(told))


def _margin_mm(inner: Structure, outer: Structure, material: Material) -> float:
    if material.image is None:
        return 0.0
    grid = material.image.grid
    box = [(int(i.min()), int(i.max()) + 1) for i in np.unravel_index(outer.voxels.index, grid.shape)]
    padded = np.pad(outer.voxels.mask(grid.shape)[tuple(slice(*b) for b in box)], 1)
    far = ndimage.distance_transform_edt(padded, sampling=grid.spacing_mm[::-1])
    whole = np.zeros(grid.shape, np.float32)
    whole[tuple(slice(*b) for b in box)] = far[1:-1, 1:-1, 1:-1]
    solid = inner.voxels.index[inner.voxels.fraction >= 0.5]
    return float(whole.reshape(-1)[solid].min()) if solid.size else 0.0


@check("contours.reference", "Volumes and places against the reference day", Severity.WARN, source="APART (MR-linac)")
def reference(material: Material) -> Said:
    return not_tested("structures of a reference day are not read by this command")


@check("contours.density-overrides", "Densities assigned by hand", Severity.WARN, source=f"{MPPG_11A} (overrides)")
def density_overrides(material: Material) -> Said:
    if material.objects.structures is None:
        return not_tested("there is no structure set")
    listed = []
    for observation in items(material.objects.structures, "RTROIObservationsSequence"):
        for entry in items(observation, "ROIPhysicalPropertiesSequence"):
            value = number(entry, "ROIPhysicalPropertyValue")
            name, roi = text(entry, "ROIPhysicalProperty"), text(observation, "ReferencedROINumber")
            listed.append(f"ROI {roi}: {name} {'unreadable' if value is None else f'{value:g}'}")
    if listed:
        return found(f"{'; '.join(listed)}; the second calculation takes them only where it says so")
    return passed("none")
