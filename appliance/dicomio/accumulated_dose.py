"""RT Dose of what several fractions gave together: marked, so that nobody takes it for the dose of a plan.

Doses of two plans or more are MULTI_PLAN and name them all; that of one plan names none and is PLAN_OVERVIEW
(PS3.3 C.8.8.3: MULTI_PLAN refers to two plans at least, and PLAN would be the dose of one plan on one image).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from appliance.contracts import Case
from appliance.contracts.accumulation import AccumulatedDose, Fraction, Quantity
from appliance.dicomio.dose import dose_dataset
from appliance.dicomio.files import processing_equipment, sop_reference
from appliance.dicomio.marks import is_marked
from appliance.dicomio.values import LONG_STRING, clipped

PHYSICAL_MARK = "ACCUMULATED over {count} fractions, physical, research only"
EQD2_MARK = "ACCUMULATED over {count} fractions, EQD2 a/b {ratio:g} Gy, research only"
"""Series Description and Dose Comment (both LO: 64 characters at most)."""
MARK_START = "accumulated over"
MODEL_NAME = "Couchside dose accumulation"
"""Manufacturer's Model Name, in the place of the planner's."""
PLAN_LABEL = "ACCUMULATED"


def accumulated_dose_dataset(
    case: Case, accumulated: AccumulatedDose, fractions: Sequence[Fraction], quantity: Quantity
) -> Dataset:
    """case: the anatomy that dose was added up on. EQD2 has one alpha/beta everywhere and is Dose Type EFFECTIVE.
    Raises ExportError for values that are negative or not finite."""
    dataset = dose_dataset(
        accumulated.grid,
        _values(accumulated, quantity),
        identity=case.identity,
        frame_of_reference_uid=case.frame_of_reference_uid,
        plan=None,
        structure_set=case.structure_set,
    )
    form = PHYSICAL_MARK if quantity == "physical" else EQD2_MARK
    mark = clipped(form.format(count=accumulated.delivered, ratio=accumulated.alpha_beta.value_gy), LONG_STRING)
    dataset.SeriesDescription = dataset.DoseComment = mark
    dataset.DoseType = "PHYSICAL" if quantity == "physical" else "EFFECTIVE"
    dataset.ManufacturerModelName = MODEL_NAME
    plans = {item.plan.sop_instance_uid: item.plan for item in fractions}
    if len(plans) > 1:
        dataset.DoseSummationType = "MULTI_PLAN"
        dataset.ReferencedRTPlanSequence = [sop_reference(plan) for plan in plans.values()]
        del dataset.PlanOverviewSequence
    else:
        dataset.PlanOverviewSequence[0].RTPlanLabel = PLAN_LABEL
    dataset.ContributingEquipmentSequence = [processing_equipment(MODEL_NAME, _story(fractions))]
    return dataset


def is_accumulated(text_of: Callable[[str], str]) -> bool:
    """Whether an RT Dose is one of ours from above. text_of: as `is_marked` takes it."""
    return is_marked(text_of, start=MARK_START, model_name=MODEL_NAME)


def _values(accumulated: AccumulatedDose, quantity: Quantity) -> NDArray[np.float32]:
    return accumulated.dose_gy if quantity == "physical" else accumulated.eqd2_gy


def _story(fractions: Sequence[Fraction]) -> str:
    return "; ".join(
        f"{item.date or 'undated'} x{item.delivered.count}: {item.origin}, off by up to "
        f"{item.delivered.uncertainty_mm:g} mm"
        for item in fractions
    )
