"""All that is said of a plan's delivery, on one page."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.contracts import Case, Plan
from appliance.contracts.deliverability import BeamDeliverability, ComplexityFigures, Deliverability
from appliance.contracts.machine_view import MachineView
from appliance.errors import EvaluationError
from appliance.evaluation.deliverability.clearance import clearance
from appliance.evaluation.deliverability.figures import beam_figures, plan_figures
from appliance.evaluation.deliverability.findings import clearance_findings, peer_finding
from appliance.evaluation.deliverability.peers import peer_ranks
from engines.errors import EngineError

NO_TIMES = "seconds, dose rates and speeds are left out: the machine cannot deliver {beams} as stated"
NO_SHAPE = "{beams} has no open aperture, so that figures of its apertures are left out"


def assess_deliverability(
    plan: Plan,
    machine: MachineView,
    case: Case | None,
    prescribed_gy: float,
    *,
    peers: Sequence[ComplexityFigures] = (),
) -> Deliverability:
    """Complexity of a plan and its beams, and distances of the gantry from patient and couch.

    machine: `planning.machine_view` of this plan. case: today's anatomy, None where there is none; collisions are then
    not judged. prescribed_gy: the highest prescription of the whole course, 0 if not known. peers: plan figures of
    earlier plans of this machine and technique. Raises EvaluationError for a plan that is no delivery at all: no beam,
    no monitor units, leaves that do not fit, a view of another plan."""
    if len(machine.interval_s) != len(plan.beams):
        raise EvaluationError("the times of the machine are of another plan; ask for them again")
    gy_per_fraction = prescribed_gy / plan.fractions if plan.fractions > 0 else 0.0
    try:
        beams = tuple(
            BeamDeliverability(beam.number, beam.name, sum(seconds), beam_figures(beam, seconds, gy_per_fraction))
            for beam, seconds in zip(plan.beams, machine.interval_s, strict=True)
        )
        whole = plan_figures([beam.figures for beam in beams])
        clear = clearance(plan, machine, case)
    except (EngineError, ValueError) as error:
        raise EvaluationError(f"the plan is no delivery that could be judged ({error}); plan again") from error
    ranks = peer_ranks(whole, peers)
    return Deliverability(
        machine=machine.name,
        technique=plan.technique,
        plan=whole,
        beams=beams,
        time_s=sum(beam.seconds for beam in beams) + machine.travel_s,
        clearance=clear,
        peers=ranks,
        findings=(*clearance_findings(clear), peer_finding(ranks, len(peers))),
        notes=_notes(beams),
    )


def _notes(beams: Sequence[BeamDeliverability]) -> tuple[str, ...]:
    notes = []
    for template, missing in (
        (NO_TIMES, [beam for beam in beams if beam.seconds <= 0]),
        (NO_SHAPE, [beam for beam in beams if beam.figures.mcs is None]),
    ):
        if missing:
            notes.append(template.format(beams=", ".join(f"beam {beam.number}" for beam in missing)))
    return tuple(notes)
