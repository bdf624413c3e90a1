"""One layer of leaves along X for every collimator: what metrics and geometric checks compute with.

Leaves that travel along Y are leaves along X of a collimator turned by 90 degrees. Of two stacked layers the opening is
what both leave open; its rows lie between the borders of both. That is exact for what is open. For dose, where two
closed leaves over each other absorb more than one, see `planning.pieces.leaf_layers_mm` and
engines/photon/leaf_rows.py.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from appliance.contracts.plan import Beam, ControlPoint
from engines.delivery import Shapes
from engines.layers import merged_rows

Vector = NDArray[np.float64]
Positions = tuple[Vector, ...]
"""Of one control point: jaws (x1, x2, y1, y2), then tips of bank A and B of each layer. All move linearly in time."""

HALF_TURN_DEG = 180.0
OPEN_FIELD_MM = 500.0
"""Without an MLC one leaf pair this far out stands for none."""


def leaf_turn_deg(beam: Beam) -> float:
    """What to add to the collimator angle, so that leaves travel along X of the turned collimator."""
    return 90.0 if beam.leaf_axis == "Y" else 0.0


def row_boundaries_mm(beam: Beam) -> Vector:
    """Borders of the rows of leaf pairs along Y of the turned collimator; without an MLC one wide pair."""
    if not beam.leaf_boundaries_mm:
        return np.array([-OPEN_FIELD_MM, OPEN_FIELD_MM])
    borders = np.array(beam.leaf_boundaries_mm)
    if beam.lower_boundaries_mm:
        borders = merged_rows(beam.leaf_boundaries_mm, beam.lower_boundaries_mm).boundaries_mm
    return -borders[::-1] if beam.leaf_axis == "Y" else borders


def positions_of(beam: Beam, point: ControlPoint) -> Positions:
    """Everything of a control point that moves along a line from one control point to the next."""
    jaws = point.jaws
    edges = np.array([jaws.x1_mm, jaws.x2_mm, jaws.y1_mm, jaws.y2_mm])
    if not beam.leaf_boundaries_mm:
        return edges, np.array([-OPEN_FIELD_MM]), np.array([OPEN_FIELD_MM])
    lower = (point.lower_a_mm, point.lower_b_mm) if beam.lower_boundaries_mm else ()
    return (edges, *(np.array(tips, np.float64) for tips in (point.leaf_a_mm, point.leaf_b_mm, *lower)))


def single_layer(beam: Beam, positions: Positions) -> tuple[Vector, Vector, Vector]:
    """(left, right, jaws) of the rows of `row_boundaries_mm`, left and right (rows,), jaws as x1, x2, y1, y2. A row
    that one layer closes has right <= left."""
    jaws, left, right = positions[0], positions[1], positions[2]
    if beam.lower_boundaries_mm and beam.leaf_boundaries_mm:
        rows = merged_rows(beam.leaf_boundaries_mm, beam.lower_boundaries_mm)
        left = np.maximum(left[rows.upper], positions[3][rows.lower])
        right = np.minimum(right[rows.upper], positions[4][rows.lower])
    if beam.leaf_axis == "Y":
        x1, x2, y1, y2 = jaws
        return left[::-1], right[::-1], np.array([y1, y2, -x2, -x1])
    return left, right, jaws


def shapes_of(beam: Beam) -> Shapes:
    """Apertures of a beam with leaves along X, as the engine of complexity sees them."""
    rows = [single_layer(beam, positions_of(beam, point)) for point in beam.control_points]
    left, right, jaws = (np.stack([row[i] for row in rows]) for i in range(3))
    mu = np.array([point.cumulative_mu for point in beam.control_points])
    return Shapes(mu, left, right, row_boundaries_mm(beam), jaws)


def followed_deg(angles: Vector) -> Vector:
    """Angles (n,) followed from one to the next by the shorter way, without a jump at 360; steps of half a turn and
    more cannot be told apart from their rest and are not written by this release."""
    steps = (np.diff(angles) + HALF_TURN_DEG) % 360.0 - HALF_TURN_DEG
    return np.concatenate([angles[:1], angles[0] + np.cumsum(steps)])
