"""The second calculation of a plan in review: planning makes the dose, checking compares. They meet here."""

from __future__ import annotations

from dataclasses import replace

from appliance.checking import compare_doses, unavailable
from appliance.config import PlanningConfig
from appliance.contracts import SECOND_DOSE_FILE, CalculatedDose, Case, Plan, SecondCheck
from appliance.contracts.progress import Progress
from appliance.errors import EvaluationError, PlanningError
from appliance.planning import calculate_dose, dose_options, independent_of
from engines.errors import EngineError

NO_OTHER = "beam model '{model}' has data for one algorithm only"


def second_check(
    config: PlanningConfig, case: Case, plan: Plan, dose: CalculatedDose, progress: Progress
) -> tuple[SecondCheck, CalculatedDose | None]:
    """The plan's dose against the other algorithm's, inside the patient, and that other dose. Where there is no other,
    or it cannot compute this plan, the check says so and does not agree: the plan stays reviewable, and approving it
    needs a reason."""
    other = independent_of(dose.algorithm, config.beam_model)
    if other is None:
        return unavailable(plan, dose, NO_OTHER.format(model=config.beam_model)), None
    progress("second calculation", 0.0)
    try:
        second = calculate_dose(
            plan,
            case.image,
            case.external.voxels,
            per_beam=bool(dose.beam_dose_gy),
            progress=lambda _, done: progress("second calculation", done),
            **dose_options(config.model_copy(update={"algorithm": other}), case.structures),
        )
        found = compare_doses(plan, dose, second, case.structures)
        return replace(found, secondary_file=SECOND_DOSE_FILE), second
    except (PlanningError, EvaluationError) as error:
        return unavailable(plan, dose, error.sentence), None
    except EngineError as error:
        return unavailable(plan, dose, f"the other algorithm cannot compute it ({error})"), None
