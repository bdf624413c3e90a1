"""A pacemaker or defibrillator in the notes against the structures, the dose and the beams' energy."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from appliance.contracts.case import Case, Structure
from appliance.contracts.finding import Finding, Severity
from appliance.contracts.notes import Assertion, FactKind, NoteFact
from appliance.contracts.plan import Plan
from appliance.evaluation.notes.wording import finding, words_of

LOW_RISK_GY, HIGH_RISK_GY = 2.0, 10.0
"""Dose to the device below and above which the risk is low and high: Hurkmans et al., Radiat Oncol 7:198, 2012, Table
2."""

HIGHEST_ENERGY_MV = 10.0
"""Above it neutrons upset devices: Miften et al. (AAPM TG-203), Med Phys 46:e757, 2019."""

NAME = "notes.cardiac-device"
_OUTLINED = re.compile(r"pace-?maker|\bicd\b|\bcied\b|defib", re.IGNORECASE)


def device_finding(
    facts: Sequence[NoteFact], case: Case, plan: Plan | None, dose_gy: NDArray[np.float32] | None
) -> Finding:
    doubt = (Assertion.PRESENT, Assertion.POSSIBLE)
    said = [
        f for f in facts if f.kind is FactKind.CARDIAC_DEVICE and f.assertion in doubt and f.value != "loop recorder"
    ]
    if not said:
        none = [f for f in facts if f.kind is FactKind.CARDIAC_DEVICE and f.assertion is Assertion.ABSENT]
        text = f"denied ({words_of(none)})" if none else "the notes do not speak of it"
        return finding(NAME, Severity.WARN, False if none else None, text)
    noted = f"noted: {words_of(said)}"
    outlined = [s for s in case.structures if _OUTLINED.search(s.name) or _OUTLINED.search(s.tg263)]
    energies = [beam.energy_mv for beam in plan.beams if beam.energy_mv > HIGHEST_ENERGY_MV] if plan else []
    if energies:
        return finding(
            NAME, Severity.WARN, True, f"{noted}; beams of {max(energies):g} MV make neutrons. Use 10 MV or less"
        )
    if not outlined:
        ask = "no structure is outlined for it. Outline it, or state its distance from the fields and estimate its dose"
        return finding(NAME, Severity.WARN, True, f"{noted}; {ask}")
    if dose_gy is None:
        return finding(NAME, Severity.WARN, None, f"{noted}; its dose is not calculated yet")
    most = max(_highest_gy(structure, dose_gy) for structure in outlined)
    if most <= LOW_RISK_GY:
        return finding(NAME, Severity.WARN, False, f"{noted}; it gets at most {most:.2f} Gy, under {LOW_RISK_GY:g} Gy")
    risk = "high" if most > HIGH_RISK_GY else "medium"
    severity = Severity.STOP if most > HIGH_RISK_GY else Severity.WARN
    return finding(
        NAME, severity, True, f"{noted}; it gets up to {most:.1f} Gy: {risk} risk. Ask cardiology before treating"
    )


def _highest_gy(structure: Structure, dose_gy: NDArray[np.float32]) -> float:
    values = dose_gy.reshape(-1)[structure.voxels.index]
    return float(values.max()) if values.size else 0.0
