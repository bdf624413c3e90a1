"""Findings of deliverability: collisions, what could not be looked at, and figures that stand out of earlier plans."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.contracts import Finding, Outcome, Severity
from appliance.contracts.deliverability import FIGURES, Clearance, Nearest, PeerRank
from appliance.evaluation.deliverability.clearance import CUT_AT_SIDES, FULL_TURN_DEG

CLEARANCE_SOURCE = "AAPM TG-275 (Ford et al., Med Phys 47:e236, 2020): collisions belong to the plan check"
PEER_SOURCE = "author's choice: no limit of these figures is supported (Hernandez et al., 2020, PMC7807588)"
PEERS_NEEDED = 20
"""Author's choice: fewer earlier plans say nothing of a 95th percentile."""
UNUSUAL_PERCENTILE = 95.0
"""Author's choice."""
PATIENT, COUCH, UNSEEN, PEERS = "clearance.patient", "clearance.couch", "clearance.unseen", "deliverability.peers"


def clearance_findings(clear: Clearance) -> tuple[Finding, ...]:
    """A collision stops; a distance within the margin warns; what the image or machine file leaves open is said."""
    titles = (
        (PATIENT, "Distance of the gantry from the patient"),
        (COUCH, "Distance of the gantry from couch and supports"),
    )
    if not clear.judged:
        why = "; ".join(clear.limits)
        return tuple(
            Finding(key, title, Severity.STOP, Outcome.NOT_TESTED, why, CLEARANCE_SOURCE) for key, title in titles
        )
    of_patient = [one for one in clear.nearest if one.what == "patient"]
    of_couch = [one for one in clear.nearest if one.what != "patient"]
    found = [_distance(key, title, near) for (key, title), near in zip(titles, (of_patient, of_couch), strict=True)]
    # Every image ends somewhere along the patient; that it lacks a side of him, or that a turned couch brings
    # what lies beyond towards the gantry, is for somebody to look at.
    turned = any(one.couch_deg % FULL_TURN_DEG for one in clear.nearest)
    grave = turned or any(one.startswith(CUT_AT_SIDES) for one in clear.unseen)
    found.append(
        Finding(
            UNSEEN,
            "Parts of the patient that the image does not show",
            Severity.WARN if grave or not clear.unseen else Severity.INFO,
            Outcome.FOUND if clear.unseen else Outcome.PASSED,
            "; ".join((*clear.unseen, "what was not scanned was not looked at"))
            if clear.unseen
            else "the patient ends inside the image or out of the gantry's reach",
            CLEARANCE_SOURCE,
        )
    )
    return tuple(found)


def peer_finding(ranks: Sequence[PeerRank], peers: int) -> Finding:
    """Figures beyond the 95th percentile of earlier plans."""
    title = "Complexity beside earlier plans"
    if peers < PEERS_NEEDED:
        why = f"{peers} earlier plans of this machine and technique, fewer than {PEERS_NEEDED}"
        return Finding(PEERS, title, Severity.INFO, Outcome.NOT_TESTED, why, PEER_SOURCE)
    names = {info.key: info for info in FIGURES}
    beyond = [rank for rank in ranks if rank.percentile >= UNUSUAL_PERCENTILE]
    words = [
        f"{names[rank.key].title} {rank.value:.3g}{' ' * bool(names[rank.key].unit)}{names[rank.key].unit}: "
        f"{rank.percentile:.0f} % of {rank.peers} earlier plans are simpler"
        for rank in beyond
    ]
    evidence = "; ".join(words) or f"within the usual range of {peers} earlier plans"
    return Finding(PEERS, title, Severity.INFO, Outcome.FOUND if beyond else Outcome.PASSED, evidence, PEER_SOURCE)


def _distance(key: str, title: str, near: Sequence[Nearest]) -> Finding:
    hits = [one for one in near if one.distance_mm <= 0]
    tight = [one for one in near if 0 < one.distance_mm < one.margin_mm]
    least = min(near, key=lambda one: one.distance_mm)
    severity = Severity.WARN if tight and not hits else Severity.STOP
    outcome = Outcome.FOUND if hits or tight else Outcome.PASSED
    evidence = "; ".join(one.sentence for one in (*hits, *tight)) or least.sentence
    return Finding(key, title, severity, outcome, evidence, CLEARANCE_SOURCE)
