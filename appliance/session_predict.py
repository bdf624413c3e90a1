"""Dose prediction as a configuration asks for it: which backend, how many threads, and how the patient is treated."""

from __future__ import annotations

from dataclasses import replace

from appliance.config import Config, PlanningConfig
from appliance.contracts import Case, GoalSet, Prediction, StructureKind
from appliance.contracts.progress import Progress
from appliance.errors import ModelError
from appliance.planning import planned_gantry_deg
from appliance.prediction import MODEL, Predictor, Treatment
from appliance.registered import shipped
from appliance.session_models import runtime_options
from engines.dose_features import Layout
from engines.errors import RegisteredFileError
from engines.runtime import RuntimeOptions
from engines.runtime.entry import Registered

SWITCHED_OFF = "Dose prediction is switched off in the configuration ([prediction] enabled = false)"


def predict_case(config: Config, case: Case, goal_set: GoalSet, progress: Progress) -> Prediction:
    """Raises only what `progress` raises."""
    if not config.prediction.enabled:
        return Prediction(None, (SWITCHED_OFF,))
    treatment = treatment_of(config.planning, case, goal_set)
    return Predictor(network_options(config)).predict(case, goal_set, treatment, progress)


def network_options(config: Config) -> RuntimeOptions:
    wanted = config.prediction
    options = replace(runtime_options(config, _entry()), threads=wanted.threads)
    return replace(options, backends=wanted.backends) if wanted.backends else options


def _entry() -> Registered | None:
    """None where the registry cannot be used: the predictor, which opens the network, then says why."""
    try:
        return shipped().entry(MODEL)
    except (ModelError, RegisteredFileError):
        return None


def treatment_of(planning: PlanningConfig, case: Case, goal_set: GoalSet) -> Treatment:
    """Beams as planning will place them, all in one plane; and the organs that the network has no name for."""
    known = Layout().organs
    others = sorted(s.tg263 for s in case.structures if s.kind is StructureKind.ORGAN and s.tg263 not in known)
    return Treatment(
        fractions=goal_set.fractions or None,
        gantry_deg=tuple(planned_gantry_deg(case, goal_set, planning)),
        arcs=planning.technique == "vmat",
        others=tuple(others),
    )
