"""How intricate a plan is to deliver, and whether the gantry keeps clear of patient and couch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from appliance.contracts.finding import Finding


@dataclass(frozen=True)
class FigureInfo:
    """What a field of ComplexityFigures is. simpler: whether higher or lower values are easier to deliver."""

    key: str
    title: str
    unit: str
    simpler: Literal["higher", "lower", ""]
    source: str


MCNIVEN = "McNiven et al., Med Phys 37:505, 2010"
MASI = "Masi et al., Med Phys 40:071718, 2013"
DU = "Du et al., Med Phys 41:021716, 2014"
CROWE = "Crowe et al., Australas Phys Eng Sci Med 37:475, 2014"
OWN = "as defined in docs/evaluation/deliverability.md"
DYNAMIC = f"{OWN}; dynamic parameters as in Hernandez et al., 2020, PMC7807588"

FIGURES = (
    FigureInfo("mcs", "modulation complexity score", "", "higher", f"{MCNIVEN}; moving beams: {MASI}"),
    FigureInfo("ltmcs", "MCS with leaf travel", "", "higher", MASI),
    FigureInfo("leaf_travel_mm", "leaf travel", "mm", "lower", MASI),
    FigureInfo("edge_per_mm", "edge metric", "1/mm", "lower", "Younge et al., Med Phys 39:7160, 2012 (C1 = 0, C2 = 1)"),
    FigureInfo("irregularity", "aperture irregularity PI", "", "lower", DU),
    FigureInfo("mean_area_mm2", "mean field area PA", "mm2", "higher", DU),
    FigureInfo("modulation", "modulation PM", "", "lower", DU),
    FigureInfo("mean_gap_mm", "mean leaf gap", "mm", "higher", f"{OWN}; LoSasso et al., Med Phys 25:1919, 1998"),
    FigureInfo("small_2mm", "small aperture score, gaps under 2 mm", "", "lower", CROWE),
    FigureInfo("small_5mm", "small aperture score, gaps under 5 mm", "", "lower", CROWE),
    FigureInfo("small_10mm", "small aperture score, gaps under 10 mm", "", "lower", CROWE),
    FigureInfo("small_20mm", "small aperture score, gaps under 20 mm", "", "lower", CROWE),
    FigureInfo("mu_per_gy", "monitor units per Gy", "MU/Gy", "lower", OWN),
    FigureInfo("mu_per_control_arc", "monitor units per control arc", "MU", "", OWN),
    FigureInfo("mu_per_deg", "monitor units per degree", "MU/deg", "", OWN),
    FigureInfo(
        "leaf_travel_mm_per_deg", "leaf travel per degree of arc", "mm/deg", "lower", f"{OWN}; leaf travel: {MASI}"
    ),
    FigureInfo("leaf_speed_mm_s", "mean leaf speed", "mm/s", "lower", DYNAMIC),
    FigureInfo("leaf_speed_spread_mm_s", "spread of leaf speed", "mm/s", "lower", DYNAMIC),
    FigureInfo("dose_rate_mu_min", "mean dose rate", "MU/min", "", DYNAMIC),
    FigureInfo("dose_rate_spread_mu_min", "spread of dose rate", "MU/min", "lower", DYNAMIC),
    FigureInfo("gantry_speed_deg_s", "mean gantry speed", "deg/s", "", DYNAMIC),
    FigureInfo("gantry_speed_spread_deg_s", "spread of gantry speed", "deg/s", "lower", DYNAMIC),
)


@dataclass(frozen=True)
class ComplexityFigures:
    """Figures of a beam, or of a plan (beams weighed by monitor units; mu and mu_per_gy are sums). None: does not apply
    or is not known, such as a figure per degree of a gantry that stands still. `FIGURES` names each with its source;
    formulas: `engines.delivery.complexity`, `engines.delivery.sweep`."""

    mu: float
    control_arcs: int
    arc_deg: float
    mcs: float | None = None
    ltmcs: float | None = None
    leaf_travel_mm: float | None = None
    edge_per_mm: float | None = None
    irregularity: float | None = None
    mean_area_mm2: float | None = None
    modulation: float | None = None
    mean_gap_mm: float | None = None
    small_2mm: float | None = None
    small_5mm: float | None = None
    small_10mm: float | None = None
    small_20mm: float | None = None
    mu_per_gy: float | None = None
    mu_per_control_arc: float | None = None
    mu_per_deg: float | None = None
    leaf_travel_mm_per_deg: float | None = None
    leaf_speed_mm_s: float | None = None
    leaf_speed_spread_mm_s: float | None = None
    dose_rate_mu_min: float | None = None
    dose_rate_spread_mu_min: float | None = None
    gantry_speed_deg_s: float | None = None
    gantry_speed_spread_deg_s: float | None = None


@dataclass(frozen=True)
class BeamDeliverability:
    number: int
    name: str
    seconds: float
    figures: ComplexityFigures


@dataclass(frozen=True)
class Nearest:
    """The least distance of the gantry from one thing while one beam is delivered, mm; below 0 the gantry would be
    inside it. point_mm: where on it, LPS. control_point: at or after which the gantry stands there."""

    beam: int
    what: str
    distance_mm: float
    margin_mm: float
    gantry_deg: float
    couch_deg: float
    control_point: int
    point_mm: tuple[float, float, float]

    @property
    def sentence(self) -> str:
        how = (
            f"the gantry would reach {-self.distance_mm:.0f} mm into the {self.what}"
            if self.distance_mm < 0
            else f"the gantry comes within {self.distance_mm:.0f} mm of the {self.what}"
        )
        where = f"beam {self.beam}, gantry {self.gantry_deg:.0f} degrees, couch {self.couch_deg:.0f} degrees"
        return f"{where}: {how} (margin {self.margin_mm:g} mm)"


@dataclass(frozen=True)
class Clearance:
    """nearest: for each beam the nearest place of patient, couch and supports. whole_turn_mm: the least distance of all
    if the gantry went all the way round at the beams' couch angles, None where not judged. profile_deg, profile_mm: the
    least distance by gantry angle over that turn. limits: what the solids leave out, in sentences; unseen: where the
    image does not show the patient, so that nothing can be said."""

    judged: bool
    nearest: tuple[Nearest, ...] = ()
    whole_turn_mm: float | None = None
    profile_deg: tuple[float, ...] = ()
    profile_mm: tuple[float, ...] = ()
    limits: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()

    @property
    def least(self) -> Nearest | None:
        return min(self.nearest, key=lambda one: one.distance_mm, default=None)

    @property
    def collisions(self) -> tuple[Nearest, ...]:
        return tuple(one for one in self.nearest if one.distance_mm <= 0)


@dataclass(frozen=True)
class PeerRank:
    """A figure among those of earlier plans: percentile, the share of peers that are simpler to deliver."""

    key: str
    value: float
    peers: int
    percentile: float


@dataclass(frozen=True)
class Deliverability:
    """plan: figures of all beams together; beams: of each. time_s of one fraction, travel between beams included; 0 if
    not known. findings: on clearance and on figures that stand out of what was delivered before; none of the complexity
    figures has a limit of its own, because none has been shown to predict a failed measurement reliably (Hernandez et
    al., 2020, PMC7807588)."""

    machine: str
    technique: str
    plan: ComplexityFigures
    beams: tuple[BeamDeliverability, ...]
    time_s: float
    clearance: Clearance
    peers: tuple[PeerRank, ...] = ()
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
