"""Beam models by name, with their output calibration worked out once."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from appliance.errors import ModelError
from engines.errors import EngineError
from engines.photon.beam_model import BeamModel, load_beam_model
from engines.photon.calibrate import gy_per_mu
from engines.photon.superposition import calibrate as superposition

BEAM_MODELS = Path(__file__).resolve().parents[2] / "models" / "beam"


@lru_cache(maxsize=8)
def load_calibrated(name: str) -> tuple[BeamModel, float]:
    """(model, Gy per MU and unit dose of the engine). `name` is a file in models/beam or a path to a .json.

    Raises ModelError for a missing, malformed or uncalibrated model."""
    path = Path(name) if name.endswith(".json") else BEAM_MODELS / f"{name}.json"
    if not path.exists():
        known = ", ".join(sorted(p.stem for p in BEAM_MODELS.glob("*.json")))
        raise ModelError(f"there is no beam model '{name}' (known: {known})")
    try:
        model = load_beam_model(path)
        return model, gy_per_mu(model)
    except EngineError as error:
        raise ModelError(str(error)) from error


@lru_cache(maxsize=8)
def load_superposition(name: str) -> tuple[BeamModel, float]:
    """(model, Gy per MU and unit dose of the collapsed cone), as `load_calibrated` for the pencil beam.

    Raises ModelError also for a model without a superposition section."""
    model, _ = load_calibrated(name)
    try:
        return model, superposition.gy_per_mu(model)
    except EngineError as error:
        raise ModelError(str(error)) from error
