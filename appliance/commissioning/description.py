"""`beam.toml` of a folder of measurements: which beam, its reference conditions, and where the data come from."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from appliance.errors import RefusedMeasurements

FILE = "beam.toml"
REMEDY = "docs/commissioning.md shows a whole one"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ReferenceConditions(_Part):
    """Where gy_per_mu holds: square field at the isocentre plane, depth in water."""

    ssd_mm: float = Field(gt=500, lt=2000)
    depth_mm: float = Field(gt=0, lt=300)
    field_mm: float = Field(gt=10, le=400)
    gy_per_mu: float = Field(gt=0, lt=1)


class MeasuredCollimation(_Part):
    """Fractions transmitted, and how far the radiation edge lies behind the leaf tip."""

    leaf_transmission: float = Field(ge=0, lt=0.2)
    jaw_transmission: float = Field(ge=0, lt=0.2)
    leaf_offset_mm: float = Field(ge=0, lt=5)


class Detector(_Part):
    """width_mm: of the detector across the scan (the inner diameter of a cylindrical chamber); modelled profiles are
    blurred by it before they are compared. 0: as good as a point."""

    width_mm: float = Field(default=0.0, ge=0, le=20)


class Trust(_Part):
    statement: str = ""


class BeamDescription(_Part):
    format: Literal["couchside-measurements-1"]
    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")
    title: str = ""
    energy_mv: float = Field(gt=0, le=50)
    fluence_mode: Literal["STANDARD", "FFF"]
    sad_mm: float = Field(ge=500, le=2000)
    reference: ReferenceConditions
    collimation: MeasuredCollimation | None = None
    spectrum: str = ""
    detector: Detector = Detector()
    sources: dict[str, str]
    trust: Trust = Trust()


def read_description(folder: Path) -> BeamDescription:
    """Raises RefusedMeasurements naming the key and what is wrong with it."""
    path = folder / FILE
    try:
        return BeamDescription.model_validate(tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        raise RefusedMeasurements(
            f"its {FILE} cannot be read ({error.strerror})", what=f"The folder {folder.name}", remedy=REMEDY
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RefusedMeasurements(f"it is not valid TOML ({error})", what=FILE, remedy=REMEDY) from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise RefusedMeasurements(f"key '{key}': {first['msg']}", what=FILE, remedy=REMEDY) from error
