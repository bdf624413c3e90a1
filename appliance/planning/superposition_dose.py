"""Collapsed-cone dose of a plan: all its pieces in one calculation, or one for each beam where those are wanted."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from appliance.errors import ModelError
from appliance.planning.compute import backend
from engines.errors import DeviceError, EngineError
from engines.photon.beam_model import BeamModel
from engines.photon.dose import Medium
from engines.photon.superposition.incidence import Exposure

Report = Callable[[float], None]


class PlanSuperposition:
    """Doses of plans in one medium, in units of the model's calibration. `beams` holds each beam's exposures.

    Raises ModelError for a beam model without a superposition section or a medium without matter."""

    def __init__(self, model: BeamModel, space: Medium) -> None:
        if model.superposition is None:
            raise ModelError(f"beam model '{model.name}' has no superposition section: it knows the pencil beam only")
        try:
            self._engine = backend().superposition(model.superposition, space)
        except DeviceError:
            raise  # of the machine, not of the model: who called turns it into its own sentence
        except EngineError as error:
            raise ModelError(str(error)) from error

    def doses(
        self, beams: list[list[Exposure]], report: Report, *, per_beam: bool
    ) -> tuple[NDArray[np.float32], list[NDArray[np.float32]]]:
        """Dose (z, y, x) of all beams together and, where wanted, of each alone. Together they cost little more than
        one of them, each alone costs a calculation."""
        if not per_beam:
            together = [exposure for beam in beams for exposure in beam]
            return self._engine.calculate(together, report), []
        alone = [
            self._engine.calculate(beam, partial(_part, report, number, len(beams)))
            for number, beam in enumerate(beams)
        ]
        return np.sum(alone, axis=0, dtype=np.float32), alone


def _part(report: Report, number: int, of: int, share: float) -> None:
    report((number + share) / of)
