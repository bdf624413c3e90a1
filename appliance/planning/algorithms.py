"""The dose algorithms by name, and which of them is independent of which."""

from __future__ import annotations

from typing import Literal

from appliance.planning.beam_models import load_calibrated

Algorithm = Literal["pencil_beam", "collapsed_cone"]

COLLAPSED_CONE_NAME = "collapsed cone"
"""In the name of every dose of that algorithm (`CalculatedDose.algorithm`), however it goes on."""


def independent_of(dose_algorithm: str, beam_model: str) -> Algorithm | None:
    """The algorithm to check a dose with that was calculated by `dose_algorithm`: collapsed cone for whatever is not
    collapsed cone, where the beam model has the data for it; None where there is none. The two share the fluence of an
    aperture and the densities, not how energy is absorbed and spread. Raises ModelError."""
    if COLLAPSED_CONE_NAME in dose_algorithm.lower():
        return "pencil_beam"
    model, _ = load_calibrated(beam_model)
    return "collapsed_cone" if getattr(model, "superposition", None) is not None else None
