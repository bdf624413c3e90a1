"""The achievable band of each structure's histogram, from a predicted dose and the interval of its voxels.

How far errors of voxels go together was measured on patients whose dose is known, apart for targets and organs, and
lies as numbers in models/dose/band.json (made by models/dose/calibrate_band.py). A structure that the network was not
trained on is an organ like others here: its band is as wide as theirs, which docs/evaluation/achievable.md says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import Case, PredictedBand, StructureKind
from appliance.errors import ModelError
from engines.dvh_band import CLASSES, FORMAT, VOLUMES_PERCENT, BandFactors, achievable_band
from engines.errors import EngineError

BAND_FILE = Path(__file__).resolve().parents[2] / "models" / "dose" / "band.json"


@dataclass(frozen=True)
class BandCalibration:
    """factors: of each class of structures. level: the share of patients whose histogram lies in the band, 0..1."""

    factors: Mapping[str, BandFactors]
    level: float

    @staticmethod
    def of(told: Mapping[str, Any]) -> BandCalibration:
        """From the content of band.json. Raises ValueError for what is missing or not of its type, EngineError for
        factors of no band."""
        if told.get("format") != FORMAT:
            raise ValueError(f"format is {told.get('format')!r}, not {FORMAT}")
        try:
            factors = {
                name: BandFactors(*(float(told["classes"][name][key]) for key in ("low", "middle", "high", "local")))
                for name in CLASSES
            }
            level = float(told["level"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"{error} is missing or not of its type") from error
        return BandCalibration({name: found.checked() for name, found in factors.items()}, level)


@lru_cache(maxsize=4)
def load_band_calibration(path: Path = BAND_FILE, network_sha256: str | None = None) -> BandCalibration:
    """network_sha256: of the network whose bands are asked for; None does not ask. Raises ModelError for a file that is
    missing, is of another format or network, or lacks something."""
    try:
        told = json.loads(path.read_text("utf-8"))
        known = BandCalibration.of(told)
        if network_sha256 not in (None, told.get("network_sha256")):
            other = str(told.get("network_sha256"))[:8]
            raise ModelError(
                f"{path.name} is of the network {other}, not {network_sha256[:8]}; run models.dose.calibrate_band again"
            )
        return known
    except OSError as error:
        raise ModelError(f"the calibration of histogram bands cannot be read: {error.strerror}") from error
    except (ValueError, EngineError) as error:
        raise ModelError(f"the calibration of histogram bands ({path.name}) is not usable: {error}") from error


def predicted_bands(
    case: Case,
    dose_gy: NDArray[np.float32],
    half_width_gy: NDArray[np.float32],
    calibration: BandCalibration | None = None,
) -> tuple[PredictedBand, ...]:
    """One band for each target and organ that has a volume, in the order of the structure set. dose_gy, half_width_gy:
    (z, y, x) on the grid of the case's image; the second is the half-width of a voxel's 80 % interval.

    Raises ModelError without a usable calibration, EngineError for arrays that are of another grid, negative or not
    finite inside a structure."""
    known = calibration or load_band_calibration()
    highest = _highest(case)
    shape = case.image.grid.shape
    if not dose_gy.shape == half_width_gy.shape == shape:
        raise EngineError(f"dose and half-width must be of the image's grid {shape}, got {dose_gy.shape}")
    dose, half = dose_gy.reshape(-1), half_width_gy.reshape(-1)
    bands = []
    for structure in case.structures:
        voxels = structure.voxels
        if structure.kind in (StructureKind.TARGET, StructureKind.ORGAN) and not voxels.empty:
            is_organ, is_highest = structure.kind is StructureKind.ORGAN, structure.tg263 in highest
            factors = known.factors["organ" if is_organ else "highest" if is_highest else "lower"]
            at = voxels.index
            band = achievable_band(dose[at], half[at], voxels.fraction, VOLUMES_PERCENT, factors)
            curves = (band.volume_percent, band.low_gy, band.middle_gy, band.high_gy)
            # From the whole volume down, as the contract has it.
            bands.append(PredictedBand(structure.tg263, *(curve[::-1].astype(np.float32) for curve in curves)))
    return tuple(bands)


def _highest(case: Case) -> tuple[str, ...]:
    """Targets of the highest prescription. A target that nothing is prescribed to counts among the others, whose bands
    are wider."""
    most_gy = max((target.dose_gy for target in case.prescription), default=0.0)
    return tuple(target.structure for target in case.prescription if target.dose_gy == most_gy)
