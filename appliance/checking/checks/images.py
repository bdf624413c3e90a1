"""The CT: a whole stack of Hounsfield units, and the patient lies as in the plan."""

from __future__ import annotations

from appliance.checking.attributes import items, text
from appliance.checking.material import Material
from appliance.checking.registry import MPPG_11A, TG_275, Said, check, found, not_tested, passed, verdict
from appliance.contracts import Severity


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
