"""A planning system that begins where the plan that is adapted stood, brought to today's anatomy."""

from __future__ import annotations

import math

import numpy as np

from appliance.contracts import Followed, Objectives, PlanningState, ReferenceStart
from appliance.planning.aim import corrected
from appliance.planning.geometry import Arrangement, target_points_mm
from appliance.planning.old_beams import fluence_today, old_beams, shift_seen
from appliance.planning.resuming import Resuming

OTHER_DOSE = 0.1
"""Monitor units are scaled at once where the mean dose of the target with the highest prescription is off by more than
this share of it, as with a plan for another one (chosen: what a changed anatomy does is less, and for the planner)."""


class Following(Resuming):
    """A part of PhotonTps."""

    arrangement: Arrangement

    def follow(self, start: ReferenceStart) -> Followed:
        """See contracts.CanFollow. Apertures are taken as they are where leaves, technique and directions are those of
        the plan; otherwise its fluence is, drawn on today's beamlets."""
        beams, beamlets = old_beams(start.plan), self._fluence.beamlets
        shift = start.target_shift_mm or shift_seen(beams, target_points_mm(self.case))
        factor = (start.plan.fractions or self.goal_set.fractions) / self.goal_set.fractions
        values = factor * fluence_today(beams, self.arrangement.frames, beamlets, shift)
        why = self._delivery.stand_at(start.plan, beamlets, shift, factor)
        self._fluence.take(values)
        self._objectives, self._sequenced, self._final = self.initial_objectives(), not why, None
        self._correction = np.zeros_like(self._correction)
        stage = self._fluence if why else self._delivery
        self._dose = corrected(stage.dose_model, stage.fluence(), self._correction)
        if (scale := self._for_its_dose()) is not None:
            self.normalise(scale)
        moved = f"moved with the target by {math.hypot(*shift):.1f} mm"
        state = self._state(float("nan"), 0, "fluence" if why else "apertures")
        if why:
            return Followed(state, "fluence", f"the received plan's fluence, {moved}, in new apertures: {why}")
        return Followed(state, "apertures", f"the received plan's apertures, {moved}")

    def _for_its_dose(self) -> float | None:
        """What to scale monitor units by, None where the dose is about what is prescribed."""
        name, dose_gy = max(self.goal_set.prescription, key=lambda item: item[1])
        found = self._regions.get(name)
        if found is None:
            return None
        mean_gy = float(np.average(self._dose[found[0]], weights=found[1]))
        return dose_gy / mean_gy if mean_gy > 0 and abs(mean_gy / dose_gy - 1.0) > OTHER_DOSE else None

    def initial_objectives(self) -> Objectives:
        raise NotImplementedError

    def normalise(self, factor: float) -> PlanningState:
        raise NotImplementedError
