"""The one configuration file (TOML), frozen and complete. An unknown or malformed key refuses to start."""

from __future__ import annotations

import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from appliance.errors import ConfigError
from engines.runtime import Backend


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NodeConfig(_Section):
    """The DICOM node. `bind` is the address listened on; only `allowed_calling_ae` may connect (empty: any).
    navigation: whether it makes the plans that trade-offs are read from while a plan is in review."""

    ae_title: str = Field(default="COUCHSIDE", min_length=1, max_length=16)
    bind: str = "127.0.0.1"
    port: int = Field(default=11112, ge=0, le=65535)
    store: Path = Path("couchside-store")
    allowed_calling_ae: tuple[str, ...] = ()
    maximum_pdu_bytes: int = Field(default=131072, ge=4096, le=1048576)
    maximum_associations: int = Field(default=16, ge=1, le=64)
    idle_timeout_s: float = Field(default=60.0, gt=0)
    settle_s: float = Field(default=2.0, ge=0)
    minimum_free_mb: int = Field(default=512, ge=0)
    navigation: bool = True


class PeerConfig(_Section):
    """Where approved plans are sent. send_record: the evaluation too, as Encapsulated PDF and structured report.
    send_registrations: how today lies to the reference too, where that was found; a peer that does not take it gets the
    plan all the same."""

    ae_title: str = Field(default="PACS", min_length=1, max_length=16)
    host: str = "127.0.0.1"
    port: int = Field(default=11113, ge=1, le=65535)
    attempts: int = Field(default=5, ge=1, le=100)
    retry_s: float = Field(default=2.0, ge=0)
    send_record: bool = False
    send_registrations: bool = True


class PlanningConfig(_Section):
    """Which machine, beam model and goals, how delivered, and how fine. site '' = chosen by the structures that are
    there. density_overrides: mass density relative to water by structure name (as received or TG-263), for metal,
    couch, contrast medium; above what a structure set assigns. beams: static fields, or with VMAT the number of arcs
    (0: the goal set's, or the adapted plan's). sparing_rounds: rounds after the goals are met that lower organ doses
    and monitor units (0: none). device: 'auto' takes a working GPU, else the CPU. policy: what steers: 'learned' (a
    network; the rules where it cannot be used), 'rules', or 'template' (the template's objectives and nothing more).
    start: where a plan is adapted, planning begins at that plan ('reference') or as if there were none ('goals').
    budget_s: seconds of planning after which the best plan so far is taken (0: as long as it takes). hang_s: seconds
    without a sign of life after which the planning system counts as hung."""

    machine: str = "millennium120"
    beam_model: str = "couchside_6mv"
    density: str = "schneider2000"
    density_overrides: dict[str, Annotated[float, Field(ge=0, le=25)]] = Field(default_factory=dict)
    site: str = ""
    goals: Path | None = None
    technique: Literal["step_and_shoot", "sliding_window", "vmat"] = "step_and_shoot"
    algorithm: Literal["collapsed_cone", "pencil_beam"] = "collapsed_cone"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    beams: int = Field(default=0, ge=0, le=36)
    beamlet_mm: float = Field(default=2.5, ge=1.0, le=10.0)
    dose_grid_mm: float = Field(default=3.0, ge=1.0, le=6.0)
    segments_per_beam: int = Field(default=15, ge=1, le=40)
    sparing_rounds: int = Field(default=4, ge=0, le=20)
    per_beam_dose: bool = False
    policy: Literal["learned", "rules", "template"] = "learned"
    start: Literal["reference", "goals"] = "reference"
    budget_s: float = Field(default=180.0, ge=0, le=86400)
    hang_s: float = Field(default=120.0, ge=1, le=3600)


class EvaluationConfig(_Section):
    """segmentation: the TOML file of a segmentation network (docs/evaluation/image_context.md) that looks at the image
    beside the contours; none by default. robustness: whether the goals are judged under set-up, dose and contour
    errors too. explain_budget_s: seconds for the re-optimisations that say why goals are missed and what would help (0:
    none). count_recovery: an earlier course counts less where a source says what is recovered since."""

    segmentation: Path | None = None
    robustness: bool = True
    explain_budget_s: float = Field(default=5.0, ge=0, le=3600)
    count_recovery: bool = False


class PredictionConfig(_Section):
    """Whether a network predicts what a good plan would reach before planning (docs/prediction.md). threads: of the CPU
    (0: as many as there are). backends: what may run the network, best first (none named: what the device that dose is
    computed on allows)."""

    enabled: bool = True
    threads: int = Field(default=0, ge=0, le=256)
    backends: tuple[Backend, ...] = ()


class DerivedConfig(_Section):
    """Structure `name` is `source` grown by margin_mm on every side, or towards (left, right, anterior, posterior,
    superior, inferior), within the External less crop_to_external_mm. TG-263 names."""

    name: str = Field(min_length=1)
    source: str = Field(min_length=1)
    margin_mm: tuple[Annotated[float, Field(ge=0, le=50)], ...] = Field(min_length=1, max_length=6)
    crop_to_external_mm: float = Field(default=0.0, ge=0, le=50)

    @field_validator("margin_mm", mode="before")
    @classmethod
    def _sides(cls, margin: object) -> object:
        sides = (margin,) if isinstance(margin, int | float) else margin
        if isinstance(sides, tuple | list) and len(sides) not in (1, 6):
            raise ValueError("is one number, or six: left, right, anterior, posterior, superior, inferior")
        return sides


class AnatomyConfig(_Section):
    """Which image of the day is taken, what dose is computed on, and how contours are made where none came with
    the image (docs/today.md). cbct_names: words in what an image says of its device that make it one of a
    treatment machine, beside those known. longest_days: from the reference image to today's. ct_density,
    cbct_density, mr_density: where the density comes from, by what today's image is. phantom_points: (value, HU)
    pairs of a phantom measured on the imager of the treatment machine, at least two; none: a calibrated image is
    calibrated to the reference CT. extend: a truncated image is filled up from the reference, or refused. derived:
    structures that are made of others today, such as a PTV of its CTV, and not carried. margins: whether PTVs without
    such a rule follow the target and the margin that the reference shows them to be made of. segmentation: the TOML
    file of a segmentation network; segmented: the organs (TG-263 names) whose contours it makes in the place of
    propagation. registration: of organs, and of targets unless `targets` says rigid. review: whether a person
    confirms propagated contours before planning: 'always', 'flagged' (where a measure passes an action level) or
    'never' (they are looked at with the plan)."""

    cbct_names: tuple[Annotated[str, Field(min_length=2)], ...] = ()
    longest_days: int = Field(default=120, ge=1, le=3650)
    ct_density: Literal["today", "deformed"] = "today"
    cbct_density: Literal["calibrated", "deformed"] = "deformed"
    mr_density: Literal["deformed", "bulk"] = "deformed"
    phantom_points: tuple[tuple[float, float], ...] = ()
    extend: bool = True
    derived: tuple[DerivedConfig, ...] = ()
    margins: Literal["recognised", "configured"] = "recognised"
    segmentation: Path | None = None
    segmented: tuple[str, ...] = ()
    registration: Literal["deformable", "rigid"] = "deformable"
    targets: Literal["deformable", "rigid"] = "deformable"
    review: Literal["always", "flagged", "never"] = "always"

    @field_validator("phantom_points")
    @classmethod
    def _rising(cls, points: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
        both = pairwise(points)
        if len(points) == 1 or any(after[0] <= before[0] or after[1] <= before[1] for before, after in both):
            raise ValueError("needs two points or more, in order, with values and HU that rise")
        return points


class Config(_Section):
    node: NodeConfig = NodeConfig()
    peer: PeerConfig = PeerConfig()
    anatomy: AnatomyConfig = AnatomyConfig()
    prediction: PredictionConfig = PredictionConfig()
    planning: PlanningConfig = PlanningConfig()
    evaluation: EvaluationConfig = EvaluationConfig()

    @staticmethod
    def load(path: Path) -> Config:
        """Raises ConfigError naming the key and what is wrong with it."""
        try:
            return Config.model_validate(tomllib.loads(path.read_text("utf-8")))
        except OSError as error:
            raise ConfigError(f"{path} cannot be read ({error.strerror})") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} is not valid TOML ({error})") from error
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            is_unknown = first["type"] == "extra_forbidden"
            why = "there is no such key; docs/couchside.example.toml has them all" if is_unknown else first["msg"]
            raise ConfigError(f"{path}: key '{key}': {why}") from error
