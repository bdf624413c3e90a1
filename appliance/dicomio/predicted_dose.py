"""RT Dose of a prediction: marked in every attribute that a viewer shows, and known again when it comes back.

DICOM has no object for what a network expects. RT Dose is what every viewer can lay over the CT; so that nobody takes
it for the dose of a plan, it names none. Its Dose Summation Type is PLAN_OVERVIEW, the only one of PS3.3 C.8.8.3 that
demands neither a plan nor a treatment record, and its overview has the label PREDICTED and today's structure set.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pydicom.dataset import Dataset

from appliance.contracts import Case, PredictedDose
from appliance.dicomio.dose import dose_dataset
from appliance.dicomio.files import processing_equipment
from appliance.dicomio.marks import is_marked
from appliance.dicomio.values import LONG_STRING, clipped

PREDICTED_MARK = "PREDICTED, not a calculated dose, never for treatment"
HALF_WIDTH_MARK = "PREDICTED, not a dose: half width of 80 %, never for treatment"
"""Series Description and Dose Comment (both LO: 64 characters at most) of the dose and of its uncertainty."""
MARK_START = "predicted, not a"
"""What both begin with, in small letters."""
PREDICTOR_NAME = "Couchside dose prediction"
"""Manufacturer's Model Name, in the place of the planner's."""
PLAN_LABEL = "PREDICTED"

Volume = Literal["dose", "half width"]


def predicted_dose_dataset(case: Case, predicted: PredictedDose, volume: Volume = "dose") -> Dataset:
    """`dose`: the predicted dose of the course; `half width`: half the width of its 80 % interval, in Gy, as Dose Type
    ERROR (the nearest that PS3.3 C.8.8.3 has; it must never pass for PHYSICAL). Raises ExportError for values that are
    negative or not finite."""
    values_gy, mark = (
        (predicted.dose_gy, PREDICTED_MARK) if volume == "dose" else (predicted.uncertainty_gy, HALF_WIDTH_MARK)
    )
    dataset = dose_dataset(
        predicted.grid,
        values_gy,
        identity=case.identity,
        frame_of_reference_uid=case.frame_of_reference_uid,
        plan=None,
        structure_set=case.structure_set,
    )
    dataset.SeriesDescription = clipped(mark, LONG_STRING)
    dataset.DoseComment = clipped(mark, LONG_STRING)
    dataset.DoseType = "PHYSICAL" if volume == "dose" else "ERROR"
    dataset.ManufacturerModelName = PREDICTOR_NAME
    dataset.PlanOverviewSequence[0].RTPlanLabel = PLAN_LABEL
    dataset.ContributingEquipmentSequence = [_network(predicted)]
    return dataset


def is_prediction(text_of: Callable[[str], str]) -> bool:
    """Whether an RT Dose is one of ours from above. text_of: as `is_marked` takes it."""
    return is_marked(text_of, start=MARK_START, model_name=PREDICTOR_NAME)


def _network(predicted: PredictedDose) -> Dataset:
    """Which network said so."""
    said = f"Network {predicted.model}, SHA-256 of its file {predicted.model_sha256}"
    return processing_equipment(predicted.model, said)
