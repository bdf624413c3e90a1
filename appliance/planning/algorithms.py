"""The dose algorithms by name, what each computes, and which of them is independent of which."""

from __future__ import annotations

from typing import Literal

from appliance.planning.beam_models import load_calibrated
from appliance.planning.density import Quantity

Algorithm = Literal["collapsed_cone", "pencil_beam"]
ALGORITHMS: dict[Algorithm, str] = {
    "collapsed_cone": "Couchside collapsed cone 1",
    "pencil_beam": "Couchside SVD pencil beam 1",
}
"""Names that doses carry; the number counts changes of what an algorithm computes."""
TRANSPORT: dict[Algorithm, str] = {
    "collapsed_cone": "water of the local mass density",
    "pencil_beam": "water, depth scaled by relative electron density",
}
"""Both have kernels and attenuation of water, so what is reported is dose to water."""
QUANTITY: dict[Algorithm, Quantity] = {"collapsed_cone": "mass_density", "pencil_beam": "electron_density"}

COLLAPSED_CONE_NAME = "collapsed cone"
"""In the name of every dose of that algorithm (`CalculatedDose.algorithm`), however it goes on."""


def independent_of(dose_algorithm: str, beam_model: str) -> Algorithm | None:
    """The algorithm to check a dose with that was calculated by `dose_algorithm`: collapsed cone for whatever is not
    collapsed cone, where the beam model has the data for it; None where there is none. The two share the fluence of an
    aperture and the densities, not how energy is absorbed and spread. Raises ModelError."""
    if COLLAPSED_CONE_NAME in dose_algorithm.lower():
        return "pencil_beam"
    model, _ = load_calibrated(beam_model)
    return "collapsed_cone" if model.superposition is not None else None
