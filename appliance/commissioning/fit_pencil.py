"""What the pencil beam is fitted for by itself: how much softer its beam is off the axis.

Softening attenuates the primary of oblique rays. The collapsed cone lets it act on what is released, the pencil beam on
the dose, scatter included: the same effect takes another number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.optimize import minimize_scalar

from appliance.commissioning.agreement import half_width_mm
from appliance.commissioning.curves import Curve
from appliance.commissioning.fit_profile import EDGE_MARGIN_MM, wide_profiles
from appliance.commissioning.pencil import PencilBeam
from engines.photon.beam_model import BeamModel

SCALE = (0.0, 3.0)
"""Of the collapsed cone's softening (chosen: the shipped beams end at about one)."""


def fit_pencil(model: BeamModel, curves: Sequence[Curve]) -> BeamModel:
    """The model with its pencil beam's softening scaled so that wide profiles of several depths are met best inside
    their fields; as it is without such profiles."""
    wide = wide_profiles(curves, model.sad_mm)
    s2, s4 = model.softening
    if not wide or (s2, s4) == (0.0, 0.0):
        return model
    beam = PencilBeam(model)

    def miss(scale: float) -> float:
        scaled = beam.softened_by((scale * s2, scale * s4))
        return float(np.mean(np.concatenate([_off(curve, scaled) for curve in wide]) ** 2))

    scale = float(minimize_scalar(miss, bounds=SCALE, method="bounded", options={"xatol": 0.01}).x)
    return replace(model, softening=(round(scale * s2, 4), round(scale * s4, 4)))


def _off(curve: Curve, beam: PencilBeam) -> np.ndarray:
    """Modelled over measured dose less one, both one on the axis, at points well inside the field."""
    inside = np.abs(curve.positions_mm) < half_width_mm(curve, beam.model.sad_mm) - EDGE_MARGIN_MM
    modelled, measured = (v / np.interp(0.0, curve.positions_mm, v) for v in (beam.dose(curve), curve.values))
    return (modelled / measured - 1.0)[inside]
