"""Each treatment beam: its machine, energy, monitor units, dose rate, place."""

from __future__ import annotations

import numpy as np

from appliance.checking.attributes import is_treated, items, number, text, treated, where
from appliance.checking.material import Material
from appliance.checking.registry import CHOSEN, MPPG_11A, TG_275, Said, check, found, not_tested, passed, verdict
from appliance.contracts import Severity

ISOCENTRE_TOLERANCE_MM = 0.1
"""Isocentres of one plan that differ by less are one (chosen: what positions are written to, times ten)."""
SMALLEST_MU = 5.0
"""Chosen: below it the end effect of the dose monitor is no longer small (AAPM TG-142 tests linearity from 5 MU on)."""


@check("beams.readable", "Every treatment beam can be computed", Severity.STOP, source=TG_275)
def readable(material: Material) -> Said:
    if material.plan is None:
        return found(material.why_no("plan"))
    return passed(f"{len(material.plan.beams)} beams, {material.plan.technique.replace('_', ' ').lower()}")


@check("beams.machine", "One machine, known here", Severity.WARN, source=MPPG_11A)
def machine(material: Material) -> Said:
    names = sorted({text(beam, "TreatmentMachineName") for beam in treated(material.objects.plan)})
    if len(names) != 1 or not names[0]:
        return found(f"the beams name {', '.join(names) or 'no machine'}", Severity.STOP)
    if not material.machine:
        return not_tested(material.why_no("machine"))
    if names[0] != material.machine:
        return found(f"the plan is for {names[0]}; limits and dose were checked with the files of {material.machine}")
    return passed(names[0])


@check("beams.energy", "The beam model is of the plan's energy", Severity.STOP, source=MPPG_11A)
def energy(material: Material) -> Said:
    if material.plan is None or material.model_energy is None:
        return not_tested(material.why_no("plan" if material.plan is None else "beam model"))
    mv, mode = material.model_energy
    wrong = [
        f"beam {beam.number} is {beam.energy_mv:g} MV {beam.fluence_mode}"
        for beam in material.plan.beams
        if abs(beam.energy_mv - mv) > 0.5 or beam.fluence_mode != mode
    ]
    return verdict(wrong, f"{mv:g} MV {mode} ({material.beam_model})")


@check("beams.count", "The fraction group delivers every beam once", Severity.STOP, source=TG_275)
def count(material: Material) -> Said:
    plan = material.objects.plan
    groups = items(plan, "FractionGroupSequence")
    if len(groups) != 1:
        return found(f"{len(groups)} fraction groups instead of one")
    numbers = [text(beam, "BeamNumber") for beam in items(plan, "BeamSequence")]
    referenced = [text(item, "ReferencedBeamNumber") for item in items(groups[0], "ReferencedBeamSequence")]
    wrong = []
    if sorted(numbers) != sorted(set(numbers)):
        wrong.append("two beams have one number")
    if sorted(referenced) != sorted(numbers):
        wrong.append(f"beams {', '.join(numbers)} are described, {', '.join(referenced) or 'none'} delivered")
    if (stated := number(groups[0], "NumberOfBeams")) is None or int(stated) != len(referenced):
        wrong.append(f"NumberOfBeams is {text(groups[0], 'NumberOfBeams') or 'missing'}, {len(referenced)} are listed")
    return verdict(wrong, f"{len(numbers)} beams")


@check("beams.meterset", "Every treatment beam has monitor units", Severity.STOP, source=MPPG_11A)
def meterset(material: Material) -> Said:
    plan = material.objects.plan
    units = {
        text(item, "ReferencedBeamNumber"): number(item, "BeamMeterset")
        for group in items(plan, "FractionGroupSequence")
        for item in items(group, "ReferencedBeamSequence")
    }
    wrong, told = [], []
    for beam in treated(plan):
        mu = units.get(text(beam, "BeamNumber"))
        if mu is None or mu <= 0:
            wrong.append(f"{where(beam)} has {'no' if mu is None else f'{mu:g}'} monitor units")
        else:
            told.append(f"{mu:.1f}")
        if text(beam, "PrimaryDosimeterUnit") not in ("", "MU"):
            wrong.append(f"{where(beam)} counts in {text(beam, 'PrimaryDosimeterUnit')}")
    return verdict(wrong, f"MU a fraction: {', '.join(told)}")


@check("beams.dose-rate", "Dose rates are stated and possible", Severity.WARN, source=TG_275)
def dose_rate(material: Material) -> Said:
    wrong, rates = [], []
    for beam in treated(material.objects.plan):
        points = items(beam, "ControlPointSequence")
        rate = number(points[0], "DoseRateSet") if points else None
        if rate is None or rate <= 0:
            wrong.append(f"{where(beam)} states no dose rate")
        else:
            rates.append(rate)
    return verdict(wrong, f"{min(rates):g} to {max(rates):g} MU/min" if rates else "none")


@check(
    "beams.isocentre", "One isocentre, inside the image and the body", Severity.STOP, source=f"{MPPG_11A} (isocentre)"
)
def isocentre(material: Material) -> Said:
    """The body is what has at least half the density of water, or the outline where there is one."""
    if material.plan is None or material.image is None:
        return not_tested(material.why_no("plan" if material.plan is None else "image"))
    if material.misplaced:
        return verdict(material.misplaced, "")
    places = np.array([beam.isocentre_mm for beam in material.plan.beams])
    spread = float(np.ptp(places, axis=0).max())
    x, y, z = places[0]
    told = f"({x:.1f}, {y:.1f}, {z:.1f}) mm LPS"
    if spread > ISOCENTRE_TOLERANCE_MM:
        return found(f"the beams have isocentres up to {spread:.1f} mm apart", Severity.WARN)
    grid = material.image.grid
    at = np.rint((places[0] - grid.origin_mm) / grid.spacing_mm).astype(int)[::-1]
    inside = material.image.hu[at[0], at[1], at[2]] > -500
    return passed(f"one, {told}") if inside else found(f"one, {told}, in air or lung", Severity.WARN)


@check("beams.through-image", "Beams pass through tissue that the image shows", Severity.STOP, source=CHOSEN)
def through_image(material: Material) -> Said:
    if material.plan is None or material.image is None:
        return not_tested(material.why_no("plan" if material.plan is None else "image"))
    if not material.missing:
        return passed("no beam passes where the image cuts the body off")
    said = verdict([sentence for sentence, _ in material.missing], "")
    serious = any(is_serious for _, is_serious in material.missing)
    return found(said.evidence, Severity.STOP if serious else Severity.WARN)


@check("beams.kinds", "Only photon treatment beams without modifiers", Severity.WARN, source=MPPG_11A)
def kinds(material: Material) -> Said:
    wrong = []
    for beam in items(material.objects.plan, "BeamSequence"):
        if not is_treated(beam):
            continue
        if text(beam, "RadiationType") != "PHOTON":
            wrong.append(f"{where(beam)} is {text(beam, 'RadiationType') or 'of no stated radiation'}")
        modifiers = (("NumberOfWedges", "wedge"), ("NumberOfBlocks", "block"), ("NumberOfCompensators", "compensator"))
        wrong += [f"{where(beam)} has a {what}" for keyword, what in modifiers if (number(beam, keyword) or 0) > 0]
    return verdict(wrong, "photons, without wedge, block and compensator")


@check("beams.names", "Every beam has a name of its own", Severity.WARN, source=MPPG_11A)
def names(material: Material) -> Said:
    """Whoever reads a name at the machine must know which beam it is: setup beams count too."""
    beams = items(material.objects.plan, "BeamSequence")
    named = [text(beam, "BeamName").casefold() for beam in beams]
    wrong = [f"{where(beam)} has no name" for beam, name in zip(beams, named, strict=True) if not name]
    twice = sorted({name for name in named if name and named.count(name) > 1})
    wrong += [f"{named.count(name)} beams are called {name}" for name in twice]
    return verdict(wrong, ", ".join(text(beam, "BeamName") for beam in beams))


@check("beams.smallest-meterset", "No beam has so few monitor units that output is uncertain", Severity.WARN,
       source=f"{TG_275}; {CHOSEN}")  # fmt: skip
def smallest_meterset(material: Material) -> Said:
    if material.plan is None:
        return not_tested(material.why_no("plan"))
    beams = material.plan.beams
    wrong = [f"beam {beam.number} has {beam.mu:.2f} MU" for beam in beams if beam.mu < SMALLEST_MU]
    return verdict(wrong, f"at least {min(beam.mu for beam in beams):.1f} MU each" if beams else "there is no beam")
