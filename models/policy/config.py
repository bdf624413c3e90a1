"""What one training run needs to know: one TOML file, frozen and complete. An unknown key refuses to start.

models/policy/policy.toml is the shipped run, with every key and what it means."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from appliance.errors import ConfigError
from appliance.execution.steering.episode import Terms
from models.policy.varied import Variation

Share = Annotated[float, Field(ge=0, le=1)]
Kind = TypeVar("Kind")


def known_keys(kind: type) -> Callable[[Any], Any]:
    """Raises ValueError for a table with a key that the dataclass, or one inside it, does not have."""

    def check(table: Any, of: type = kind, path: str = "") -> Any:
        hints = get_type_hints(of)
        names = {field.name for field in fields(of)}
        for key, value in table.items() if isinstance(table, Mapping) else ():
            if key not in names:
                raise ValueError(f"there is no key '{path}{key}'; it has {', '.join(sorted(names))}")
            if is_dataclass(hints[key]):
                check(value, hints[key], f"{path}{key}.")  # type: ignore[arg-type]
        return table

    return check


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CasesConfig(_Section):
    """openkbp: folder of pt_N.npz, '' for the built-in cases alone. first, last: patients to train on. cache: where
    cases are kept, outside the repository, and under this path on every machine that plays."""

    openkbp: str = ""
    first: int = Field(default=1, ge=1)
    last: int = Field(default=180, ge=0)
    cache: Path = Path("../policy_cache")


class TasksConfig(_Section):
    """count: random tasks of the run. foreseen: share of them with a stand-in for a prediction. teacher_calls: of the
    rules on each task; what they end at is what the teacher leads to (0: the rules themselves teach)."""

    count: int = Field(default=1600, ge=1)
    teacher_calls: int = Field(default=0, ge=0)
    foreseen: Share = 0.5
    variation: Annotated[Variation, BeforeValidator(known_keys(Variation))] = Variation()


class CurriculumConfig(_Section):
    """From easy to hard, once the first looks of tasks are known: the easiest `start` of them at first, all of them
    after `full_after` updates of the improving phase."""

    start: Share = 0.4
    full_after: int = Field(default=40, ge=0)


class RolloutsConfig(_Section):
    """backend: who plays. workers: how many. address: of a Ray cluster, '' starts one here. timeout_s: of one episode.
    episodes: in a round. most_failed: share of a round's episodes that may fail before the run ends."""

    backend: Literal["in_process", "processes", "ray"] = "processes"
    workers: int = Field(default=2, ge=1)
    address: str = ""
    timeout_s: float = Field(default=600.0, gt=0)
    episodes: int = Field(default=40, ge=1)
    most_failed: Share = 0.1


class EvaluationConfig(_Section):
    """Against the rules on patients that are not trained on, with the goals and beams that ship. every: updates between
    (0: never). patients: OpenKBP numbers."""

    every: int = Field(default=10, ge=0)
    patients: tuple[int, ...] = tuple(range(181, 201))


class CheckpointsConfig(_Section):
    """every: updates between. keep: how many, the latest."""

    every: int = Field(default=1, ge=1)
    keep: int = Field(default=3, ge=1)


class TrainConfig(_Section):
    """out: folder of checkpoints, logs and weights. updates: of the whole run, cloning included. lessons: the table of
    `learner.Lessons`, which needs PyTorch to be read."""

    out: Path
    seed: int = 1
    updates: int = Field(default=200, ge=1)
    cases: CasesConfig = CasesConfig()
    tasks: TasksConfig = TasksConfig()
    terms: Annotated[Terms, BeforeValidator(known_keys(Terms))] = Terms()
    curriculum: CurriculumConfig = CurriculumConfig()
    rollouts: RolloutsConfig = RolloutsConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    checkpoints: CheckpointsConfig = CheckpointsConfig()
    lessons: dict[str, Any] = Field(default_factory=dict)

    @staticmethod
    def load(path: Path) -> TrainConfig:
        """Raises ConfigError naming the key and what is wrong with it."""
        try:
            config = TrainConfig.model_validate(tomllib.loads(path.read_text("utf-8")))
        except OSError as error:
            raise ConfigError(f"{path} cannot be read ({error.strerror})") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} is not valid TOML ({error})") from error
        except ValidationError as error:
            raise ConfigError(f"{path}: {_first_error(error)}") from error
        trained = range(config.cases.first, config.cases.last + 1)
        if both := sorted(set(trained) & set(config.evaluation.patients)):
            raise ConfigError(
                f"{path}: patient {both[0]} would be trained on and judged on; change cases or evaluation"
            )
        return config

    @property
    def decisive(self) -> dict[str, Any]:
        """What the numbers of a run depend on; the rest may change when it goes on."""
        told = self.model_dump(mode="json", exclude={"out", "updates", "rollouts", "evaluation", "checkpoints"})
        del told["cases"]["cache"]
        told["cases"]["openkbp"] = bool(self.cases.openkbp)
        return {**told, "episodes": self.rollouts.episodes}


def read_table(kind: type[Kind], table: Mapping[str, Any], where: str) -> Kind:
    """A table as a dataclass. Raises ConfigError."""
    try:
        return TypeAdapter(kind).validate_python(known_keys(kind)(table))
    except ValidationError as error:
        raise ConfigError(f"{where}: {_first_error(error)}") from error
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error


def _first_error(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    is_unknown = first["type"] == "extra_forbidden"
    why = "there is no such key; models/policy/policy.toml has them all" if is_unknown else first["msg"]
    return f"key '{key}': {why}"
