"""The dose as written: its kind, its grid, its size."""

from __future__ import annotations

import numpy as np

from appliance.checking.attributes import items, number, text
from appliance.checking.material import Material
from appliance.checking.registry import CHOSEN, MPPG_11A, TG_275, Said, check, found, not_tested, passed, verdict
from appliance.contracts import Severity, StructureKind

LARGEST_SPACING_MM = 3.0
"""Dose grids of IMRT and VMAT plans: 3 mm or finer (AAPM TG-218 compares at 2 mm; MPPG 5.b asks for 3 mm or less)."""
CUT_PERCENT = 10.0
"""Of the maximum (chosen: the threshold below which gamma, too, does not look)."""
HOT_PERCENT = 150.0
"""Of the highest prescription; chosen, because beyond it the dose is of another prescription or in another unit."""


@check("dose.kind", "Physical dose of a whole plan, in Gy", Severity.STOP, source="DICOM PS3.3 C.8.8.3")
def kind(material: Material) -> Said:
    dose = material.objects.dose
    if dose is None:
        return not_tested("there is no dose")
    wanted = (("DoseUnits", "GY"), ("DoseType", "PHYSICAL"), ("DoseSummationType", "PLAN"))
    wrong = [
        f"{keyword} is {text(dose, keyword) or 'missing'}" for keyword, value in wanted if text(dose, keyword) != value
    ]
    return verdict(wrong, "GY, PHYSICAL, PLAN")


@check("dose.readable", "The dose grid can be read", Severity.STOP, source=TG_275)
def readable(material: Material) -> Said:
    if material.dose is None:
        return found(material.why_no("dose"))
    grid, scaling = material.dose.grid, number(material.objects.dose, "DoseGridScaling")
    spacing = " x ".join(f"{step:g}" for step in grid.spacing_mm)
    told = f"{' x '.join(str(n) for n in grid.shape[::-1])} voxels of {spacing} mm, scaling {scaling or 0:g} Gy"
    if max(grid.spacing_mm) > LARGEST_SPACING_MM + 0.01:
        return found(f"{told}: coarser than {LARGEST_SPACING_MM:g} mm", Severity.WARN)
    return passed(told)


@check("dose.covers", "The dose grid covers targets and organs", Severity.STOP, source=f"{MPPG_11A} (dose grid)")
def covers(material: Material) -> Said:
    if material.dose is None or material.image is None or not material.structures:
        return not_tested("it needs dose, image and structures")
    low, high = (np.asarray(edge) for edge in _edges(material))
    wrong = []
    for structure in material.structures:
        if structure.kind not in (StructureKind.TARGET, StructureKind.ORGAN) or structure.voxels.empty:
            continue
        points = material.image.grid.centres_mm(structure.voxels.index)
        outside = np.any((points < low) | (points > high), axis=1)
        share = 100.0 * float(structure.voxels.fraction[outside].sum() / structure.voxels.fraction.sum())
        if share > 0.1:
            severity = "target" if structure.kind is StructureKind.TARGET else "organ"
            wrong.append(f"{share:.1f} % of the {severity} {structure.name} lies outside the dose grid")
    said = verdict(wrong, "all of them")
    cut_target = any("target" in sentence for sentence in wrong)
    return found(said.evidence, Severity.STOP if cut_target else Severity.WARN) if wrong else said


def _edges(material: Material) -> tuple[list[float], list[float]]:
    """Outer borders of the dose grid, mm."""
    if material.dose is None:
        return [], []
    grid = material.dose.grid
    low = [start - step / 2 for start, step in zip(grid.origin_mm, grid.spacing_mm, strict=True)]
    counts = grid.shape[::-1]
    return low, [edge + step * n for edge, step, n in zip(low, grid.spacing_mm, counts, strict=True)]


@check("dose.maximum", "The maximum fits the prescription", Severity.STOP, source=CHOSEN)
def maximum(material: Material) -> Said:
    if material.dose is None:
        return not_tested(material.why_no("dose"))
    highest_gy = float(material.dose.dose_gy.max())
    doses = [number(i, "TargetPrescriptionDose") for i in items(material.objects.plan, "DoseReferenceSequence")]
    prescribed_gy = max((dose for dose in doses if dose), default=0.0)
    if highest_gy <= 0:
        return found("the dose is zero everywhere")
    if not prescribed_gy:
        return not_tested(f"maximum {highest_gy:.2f} Gy; the plan prescribes no dose to compare with")
    percent = 100.0 * highest_gy / prescribed_gy
    told = f"maximum {highest_gy:.2f} Gy, {percent:.1f} % of {prescribed_gy:g} Gy"
    return passed(told) if COLD_PERCENT <= percent <= HOT_PERCENT else found(told)


COLD_PERCENT = 95.0
"""A maximum below this share of the prescription is of one fraction or of another plan (chosen)."""


@check("dose.cut-off", "The dose grid ends where there is little dose, or outside the body", Severity.WARN,
       source=f"{MPPG_11A} (dose grid)")  # fmt: skip
def cut_off(material: Material) -> Said:
    """Highest dose on the six faces of the grid inside the outline; faces at the border of the image are left out,
    where there is nothing to be missed."""
    external = next((s for s in material.structures if s.kind is StructureKind.EXTERNAL), None)
    if material.dose is None or material.image is None or external is None:
        return not_tested("it needs dose, image and outline")
    image, grid, dose_gy = material.image.grid, material.dose.grid, material.dose.dose_gy
    body, highest_gy = external.voxels.mask(image.shape), float(dose_gy.max())
    at = [
        np.rint((axis - start) / step).astype(int)
        for axis, start, step in zip(grid.axes_mm(), image.origin_mm, image.spacing_mm, strict=True)
    ][::-1]
    worst = 0.0
    for axis in range(3):
        for end in (0, -1):
            if not 0 < at[axis][end] < image.shape[axis] - 1:
                continue
            index = [one[[end]] if number_ == axis else one for number_, one in enumerate(at)]
            inside = [(one >= 0) & (one < count) for one, count in zip(index, image.shape, strict=True)]
            face = np.take(dose_gy, [end], axis=axis)[np.ix_(*inside)]
            there = body[np.ix_(*(one[ok] for one, ok in zip(index, inside, strict=True)))]
            worst = max(worst, float(face[there].max(initial=0.0)))
    percent = 100.0 * worst / highest_gy if highest_gy > 0 else 0.0
    told = f"at most {percent:.1f} % of the maximum on its borders inside the body"
    return passed(told) if percent <= CUT_PERCENT else found(told)
