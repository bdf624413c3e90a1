"""The CT: a whole stack of Hounsfield units, and the patient lies as in the plan."""

from __future__ import annotations

import numpy as np

from appliance.checking.attributes import items, text
from appliance.checking.material import Material
from appliance.checking.registry import MPPG_11A, TG_275, Said, check, found, not_tested, passed, verdict
from appliance.contracts import Severity, StructureKind

DENSEST_HU = 2500
"""Chosen: compact bone ends near 2000 HU, teeth included; above it are implants, fillings and contrast medium."""
DENSE_CC = 0.1
"""Chosen: less is single voxels of noise and streaks."""
WATERY_HU = (-850.0, 300.0)
"""Median of a body, from a chest that is nearly all lung to a head (chosen): beyond it the scale is no HU."""


@check("images.whole", "Slices are complete, even, untilted and in Hounsfield units", Severity.STOP,
       source=f"{MPPG_11A} (correct CT)")  # fmt: skip
def whole(material: Material) -> Said:
    """Reading an image refuses missing, doubled, tilted and uneven slices, mixed series and values that are no HU."""
    if material.image is None:
        return found(material.why_no("image"))
    grid = material.image.grid
    spacing = " x ".join(f"{step:g}" for step in grid.spacing_mm)
    return passed(f"{grid.shape[0]} slices of {grid.shape[2]} x {grid.shape[1]} pixels, {spacing} mm, rescaled to HU")


@check("images.patient-position", "The patient lies as in the plan", Severity.STOP, source=TG_275)
def patient_position(material: Material) -> Said:
    stated = {text(image, "PatientPosition") for image in material.objects.images} - {""}
    planned = {text(item, "PatientPosition") for item in items(material.objects.plan, "PatientSetupSequence")} - {""}
    if not stated or not planned:
        return not_tested(f"the {'CT' if not stated else 'plan'} does not state how the patient lies")
    wrong = [] if stated == planned else [f"CT {', '.join(sorted(stated))}, plan {', '.join(sorted(planned))}"]
    return verdict(wrong, f"{', '.join(sorted(stated))} in both")


@check("images.hounsfield", "Hounsfield units in the body are those of a body", Severity.WARN, source=MPPG_11A)
def hounsfield(material: Material) -> Said:
    """Metal and contrast medium need a density of their own; a scale that ends below them hides how dense they are."""
    external = next((s for s in material.structures if s.kind is StructureKind.EXTERNAL), None)
    if material.image is None or external is None or external.voxels.empty:
        return not_tested(material.why_no("image") if material.image is None else "there is no outline of the body")
    solid = external.voxels.index[external.voxels.fraction >= 0.5]
    hu = material.image.hu.reshape(-1)[solid]
    low, high = np.percentile(hu, (1, 99))
    dense_cc = float(np.count_nonzero(hu > DENSEST_HU)) * float(np.prod(material.image.grid.spacing_mm)) / 1000.0
    told = f"98 % of the body between {low:.0f} and {high:.0f} HU, {int(hu.min())} to {int(hu.max())} HU in all"
    if dense_cc > DENSE_CC:
        return found(f"{told}; {dense_cc:.1f} cc are above {DENSEST_HU} HU, as no bone is")
    if not WATERY_HU[0] <= float(np.median(hu)) <= WATERY_HU[1]:
        return found(f"{told}; half of the body is beyond {float(np.median(hu)):.0f} HU, which no tissue mix is")
    return passed(told)
