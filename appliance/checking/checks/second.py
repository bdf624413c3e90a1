"""The second, independent calculation: the plan recalculated, and both doses compared."""

from __future__ import annotations

from appliance.checking.attributes import items, number, numbers, text
from appliance.checking.material import Material
from appliance.checking.registry import MPPG_11A, TG_218, Said, check, found, not_tested, passed, verdict
from appliance.checking.tolerances import GAMMA_ACTION_PERCENT, GAMMA_TOLERANCE_PERCENT, SECONDARY_DOSE_PERCENT
from appliance.contracts import Severity
from appliance.dicomio.files import MANUFACTURER
from engines.grid import Grid, resample


@check("second.gamma", "The recalculated dose agrees voxel by voxel", Severity.STOP, source=TG_218)
def gamma(material: Material) -> Said:
    check = material.second
    if check is None:
        return found(f"no second calculation: {material.why_no('second')}")
    told = (
        f"{check.gamma_pass_percent:.2f} % of {check.gamma_points} points pass {check.gamma_criteria} (mean "
        f"{check.gamma_mean:.2f}); second calculation: {check.secondary}"
    )
    if check.gamma_pass_percent < GAMMA_ACTION_PERCENT:
        return found(f"{told}; the action limit is {GAMMA_ACTION_PERCENT:g} %")
    if check.gamma_pass_percent < GAMMA_TOLERANCE_PERCENT:
        return found(f"{told}; the tolerance limit is {GAMMA_TOLERANCE_PERCENT:g} %", Severity.WARN)
    return passed(told)


@check("second.independent", "The second calculation is not the first one again", Severity.WARN, source=MPPG_11A)
def independent(material: Material) -> Said:
    """An RTDOSE does not state its algorithm: one that Couchside wrote may come from the very code that checks it."""
    if material.second is None:
        return not_tested(material.why_no("second"))
    maker = text(material.objects.dose, "Manufacturer")
    told = f"the dose was made by {maker or 'an unnamed system'}, the second by {material.second.secondary}"
    return found(f"{told}: both by Couchside") if maker == MANUFACTURER else passed(told)


@check("second.point", "The doses agree at the check point, beam by beam", Severity.STOP, source=f"{MPPG_11A}; TG-114")
def point(material: Material) -> Said:
    """All beams together decide; one beam alone may lie in a gradient or behind a leaf there, and is told."""
    check = material.second
    if check is None:
        return not_tested(material.why_no("second"))
    x, y, z = check.point_mm
    told = f"at ({x:.1f}, {y:.1f}, {z:.1f}) mm: {check.point_difference_percent:+.2f} % in all"
    if check.beams:
        listed = ", ".join(
            f"beam {beam.beam} {beam.primary_gy:.3f} to {beam.secondary_gy:.3f} Gy ({beam.difference_percent:+.1f} %)"
            for beam in check.beams
        )
        told += f"; {listed}"
    if abs(check.point_difference_percent) > SECONDARY_DOSE_PERCENT:
        return found(f"{told}; more than {SECONDARY_DOSE_PERCENT:g} %")
    if off := [str(b.beam) for b in check.beams if abs(b.difference_percent) > SECONDARY_DOSE_PERCENT]:
        return found(f"{told}; beam {', '.join(off)} differs by more than {SECONDARY_DOSE_PERCENT:g} %", Severity.WARN)
    return passed(told)


@check("second.stated-beam-doses", "Each beam gives the dose that the plan states for it", Severity.WARN,
       source=f"{MPPG_11A}; TG-114")  # fmt: skip
def stated_beam_doses(material: Material) -> Said:
    """BeamDose of one fraction at its BeamDoseSpecificationPoint against that beam recalculated, in % of all."""
    second, plan = material.recalculated, material.plan
    if second is None or plan is None or len(second.beam_dose_gy) != len(plan.beams):
        return not_tested(material.why_no("second"))
    groups = items(material.objects.plan, "FractionGroupSequence")
    listed = {text(item, "ReferencedBeamNumber"): item for item in items(groups[0], "ReferencedBeamSequence")}
    wrong: list[str] = []
    told: list[str] = []
    for beam, beam_gy in zip(plan.beams, second.beam_dose_gy, strict=True):
        item = listed.get(str(beam.number))
        stated_gy, place = number(item, "BeamDose"), numbers(item, "BeamDoseSpecificationPoint")
        if stated_gy is None or len(place) != 3:
            continue
        here = Grid((place[0], place[1], place[2]), (1.0, 1.0, 1.0), (1, 1, 1))
        own_gy, whole_gy = (resample(dose, second.grid, here).item() for dose in (beam_gy, second.dose_gy))
        percent = 100.0 * (own_gy - stated_gy * plan.fractions) / whole_gy if whole_gy > 0 else 100.0
        line = f"beam {beam.number}: stated {stated_gy:.3f}, recalculated {own_gy / plan.fractions:.3f} Gy a fraction"
        (told if abs(percent) <= SECONDARY_DOSE_PERCENT else wrong).append(f"{line} ({percent:+.1f} % of all beams)")
    if not told and not wrong:
        return not_tested("the plan states no dose of its beams at a point")
    return verdict(wrong, "; ".join(told))


@check("second.targets", "Mean and median dose of the targets agree", Severity.STOP, source=MPPG_11A)
def targets(material: Material) -> Said:
    check = material.second
    if check is None or not check.targets:
        return not_tested(material.why_no("second") if check is None else "there is no target to compare")
    told = "; ".join(
        f"{item.structure} mean {item.mean_percent:+.2f} %, median {item.median_percent:+.2f} %"
        for item in check.targets
    )
    worst = max(max(abs(item.mean_percent), abs(item.median_percent)) for item in check.targets)
    return passed(told) if worst <= SECONDARY_DOSE_PERCENT else found(f"{told}; more than {SECONDARY_DOSE_PERCENT:g} %")


@check("second.histograms", "Where the dose-volume histograms differ most", Severity.INFO, source=MPPG_11A)
def histograms(material: Material) -> Said:
    check = material.second
    if check is None or not check.structures:
        return not_tested(material.why_no("second") if check is None else "there is no structure to compare")
    ordered = sorted(check.structures, key=lambda item: -abs(item.difference_gy))
    return passed(
        "; ".join(
            f"{item.structure} {item.metric} {item.primary_gy:.2f} to {item.secondary_gy:.2f} Gy" for item in ordered
        )
    )
