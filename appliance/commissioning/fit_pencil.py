"""What the pencil beam is fitted for by itself: how much softer its beam is off the axis, and its head scatter.

Softening attenuates the primary of oblique rays. The collapsed cone lets it act on what is released, the pencil beam
on the dose, scatter included: the same effect takes another number. The weight of the extra-focal source was fitted for
the collapsed cone, whose scatter of wide fields is a percent off the pencil beam's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.optimize import minimize_scalar

from appliance.commissioning.agreement import half_width_mm
from appliance.commissioning.curves import Curve, Kind, of_kind
from appliance.commissioning.fit_profile import EDGE_MARGIN_MM, wide_profiles
from appliance.commissioning.pencil import PencilBeam
from engines.photon.beam_model import BeamModel

HEAD_SCALE, FEWEST_SQUARES = (0.5, 2.0), 5
"""Of the collapsed cone's weight, and how many square fields it takes to say it (chosen)."""
SCALE = (0.0, 3.0)
"""Of the collapsed cone's softening (chosen: the shipped beams end at about one)."""


def fit_pencil(model: BeamModel, curves: Sequence[Curve]) -> BeamModel:
    """The model with its pencil beam's softening and head scatter fitted to the pencil beam itself; each stays as it is
    where no curves say anything of it."""
    return with_head_weight(with_softening(model, curves), curves)


def with_softening(model: BeamModel, curves: Sequence[Curve]) -> BeamModel:
    """Softening scaled so that wide profiles of several depths are met best inside their fields."""
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


def with_head_weight(model: BeamModel, curves: Sequence[Curve]) -> BeamModel:
    """The weight of the extra-focal source that meets the output factors of square fields best. Dose is linear in it,
    so two runs of each field say it for every weight."""
    head, factors = model.extra_focal, of_kind(curves, Kind.OUTPUT_FACTOR)
    squares = [c for c in factors if c.shaped_by == "jaws" and c.is_of_field(c.field_x_mm, c.field_x_mm)]
    if head is None or len(squares) < FEWEST_SQUARES:
        return model
    measured = np.array([c.values[0] for c in squares])
    reference = int(np.argmin(np.abs(measured - 1.0)))
    without, twice = (
        np.array([_headed(model, weight).dose(c)[0] for c in squares]) for weight in (0.0, 2.0 * head.weight)
    )

    def miss(scale: float) -> float:
        dose = without + 0.5 * scale * (twice - without)
        return float(np.mean((dose / dose[reference] / (measured / measured[reference]) - 1.0) ** 2))

    scale = float(minimize_scalar(miss, bounds=HEAD_SCALE, method="bounded", options={"xatol": 0.002}).x)
    return replace(model, extra_focal=replace(head, weight=round(scale * head.weight, 6)))


def _headed(model: BeamModel, weight: float) -> PencilBeam:
    head = model.extra_focal
    return PencilBeam(replace(model, extra_focal=replace(head, weight=weight) if head else None))


def _off(curve: Curve, beam: PencilBeam) -> np.ndarray:
    """Modelled over measured dose less one, both one on the axis, at points well inside the field."""
    inside = np.abs(curve.positions_mm) < half_width_mm(curve, beam.model.sad_mm) - EDGE_MARGIN_MM
    modelled, measured = (v / np.interp(0.0, curve.positions_mm, v) for v in (beam.dose(curve), curve.values))
    return (modelled / measured - 1.0)[inside]
