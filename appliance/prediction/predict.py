"""A case and its goals to the dose that a good plan would reach, with how sure that is; or why there is none.

anatomy -> is it a patient that the network knows? -> features -> network, of the patient and of the mirrored patient
-> calibrated intervals -> the image's grid. Nothing that goes wrong on the way stops a session: it becomes a sentence,
and planning starts from the goals.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from appliance.contracts import Case, GoalSet, PredictedDose, Prediction
from appliance.contracts.progress import Progress, silent
from appliance.errors import ModelError, RefusedInput
from appliance.prediction.anatomy import NetworkAnatomy, network_anatomy
from appliance.prediction.dvh_band import BandCalibration, load_band_calibration, predicted_bands
from appliance.prediction.facts import AnatomyFacts, Treatment
from appliance.prediction.opened import MULTIPLE, DoseNetwork, Passes, open_dose_network, registered_sha256
from appliance.prediction.range import judge_range, refused
from appliance.prediction.range_finding import RangeFinding, Severity
from appliance.prediction.range_model import RangeModel, load_range_model
from appliance.prediction.uncertainty import Calibration, load_calibration, regions_of, sureness
from engines.dose_features import features
from engines.errors import EngineError
from engines.runtime import RuntimeOptions
from engines.runtime.registry import Registry

MODEL_FOLDER = Path(__file__).resolve().parents[2] / "models" / "dose"
REASONS_SHOWN = 3
"""Reasons and warnings that are told in full; the rest are counted (chosen: nobody reads ten)."""
OUT_OF_MEMORY = "There is too little memory to predict a dose. Close other programs or use an image of coarser voxels"


@dataclass(eq=False)
class _Clock:
    """Seconds of each part, and where the work is."""

    progress: Progress
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def part(self, name: str, share: float) -> Iterator[None]:
        self.progress(f"prediction: {name}", share)
        since = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = time.monotonic() - since


@dataclass(frozen=True, eq=False)
class Predictor:
    """options: how the network is opened. registry: where it is looked up, None for the one that ships. folder: of
    range.json and calibration.json, which belong to the network."""

    options: RuntimeOptions = field(default_factory=RuntimeOptions)
    registry: Registry | None = None
    folder: Path = MODEL_FOLDER

    def predict(
        self, case: Case, goal_set: GoalSet, treatment: Treatment | None = None, progress: Progress = silent
    ) -> Prediction:
        """treatment: how it is to be treated; None: nothing is said but the goal set's fractions. Raises only what
        `progress` raises."""
        clock = _Clock(progress)
        given = Treatment(fractions=goal_set.fractions or None) if treatment is None else treatment
        try:
            return self._predict(case, goal_set, given, clock)
        except (RefusedInput, ModelError) as error:
            reason = error.sentence
        except EngineError as error:
            reason = f"The dose network failed: {error}"
        except MemoryError:
            reason = OUT_OF_MEMORY
        return Prediction(None, (reason,), seconds=clock.seconds)

    def check(self) -> str:
        """SHA-256 of the registered network, if what belongs to it is here and is its own: the range of its training
        patients, the calibration of its intervals, the factors of its bands. Raises ModelError."""
        sha256 = registered_sha256(self.registry)
        _range_of(self.folder / "range.json")
        _calibration_of(self.folder / "calibration.json", sha256)
        load_band_calibration(self.folder / "band.json", sha256)
        return sha256

    def _predict(self, case: Case, goal_set: GoalSet, treatment: Treatment, clock: _Clock) -> Prediction:
        with clock.part("anatomy", 0.0):
            told = network_anatomy(case, goal_set)
        with clock.part("range", 0.1):
            found = judge_range(_facts(told, treatment), _range_of(self.folder / "range.json"))
        if refused(found):
            reasons = [finding.sentence for finding in found if finding.severity is Severity.REFUSE]
            return Prediction(None, _shortened(reasons), seconds=clock.seconds)
        # Opened before the features are made: a missing model is told at once.
        with clock.part("opening", 0.15):
            network = open_dose_network(self.options, self.registry)
            calibration = _calibration_of(self.folder / "calibration.json", network.sha256)
            bands = load_band_calibration(self.folder / "band.json", network.sha256)
        with clock.part("features", 0.2):
            made = features(told.anatomy, multiple=MULTIPLE, threads=self.options.threads)
        with clock.part("network", 0.4):
            passes = network.ask(made, told.anatomy.layout.mirror_order())
        with clock.part("interval", 0.9):
            dose = _predicted(case, told, network, passes, (calibration, bands), found)
        notes = [finding.sentence for finding in found if finding.severity is Severity.NOTE]
        ran = network.notes(self.options.backends)
        return Prediction(dose, notes=(*told.notes, *notes, *ran), seconds=clock.seconds)


def _facts(told: NetworkAnatomy, treatment: Treatment) -> AnatomyFacts:
    anatomy = told.anatomy
    planned = replace(treatment, image_spacing_mm=told.image_grid.spacing_mm[::-1])
    return AnatomyFacts.of(
        anatomy.possible, anatomy.organs, anatomy.targets, anatomy.ct_hu, anatomy.spacing_mm, planned
    )


def _predicted(
    case: Case,
    told: NetworkAnatomy,
    network: DoseNetwork,
    passes: Passes,
    calibrations: tuple[Calibration, BandCalibration],
    found: tuple[RangeFinding, ...],
) -> PredictedDose:
    """In Gy and on the image's grid, never negative, nothing where dose is impossible."""
    anatomy, (calibration, bands) = told.anatomy, calibrations
    unit_gy, possible = np.float32(anatomy.unit_gy), anatomy.possible
    doses = np.where(possible, np.maximum(passes.doses, 0), 0) * unit_gy
    spreads = None if passes.spreads is None else passes.spreads * unit_gy
    dose, sure = sureness(
        calibration,
        doses,
        spreads,
        regions=regions_of(possible, anatomy.organs, [mask for _, mask in anatomy.targets]),
        spacing_mm=anatomy.spacing_mm,
        unit_gy=anatomy.unit_gy,
    )
    dose_gy, half_gy, half_95_gy = (told.to_image(volume) for volume in (dose, sure.half_80_gy, sure.half_95_gy))
    return PredictedDose(
        case.image.grid,
        dose_gy,
        half_gy,
        half_95_gy,
        network.label,
        warnings=_shortened([finding.sentence for finding in found if finding.severity is Severity.WARN]),
        dvh=predicted_bands(case, dose_gy, half_gy, bands),
        model_sha256=network.sha256,
    )


def _shortened(sentences: list[str]) -> tuple[str, ...]:
    """The first, which are the gravest, and how many more there are."""
    more = len(sentences) - REASONS_SHOWN
    if more <= 1:
        return tuple(sentences)
    return (
        *sentences[:REASONS_SHOWN],
        f"{more} more things about this patient are unlike those that the network knows",
    )


@lru_cache(maxsize=4)
def _range_of(path: Path) -> RangeModel:
    return load_range_model(path)


@lru_cache(maxsize=4)
def _calibration_of(path: Path, sha256: str) -> Calibration:
    return load_calibration(path, sha256)
