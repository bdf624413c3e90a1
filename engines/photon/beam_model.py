"""A photon beam model: everything the dose engine must know of a beam, read from one JSON file with its provenance."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.photon.superposition import model as superposition
from engines.photon.superposition.model import ExtraFocal, SuperpositionModel

WIDEST_TANGENT = 0.3
"""Of 17 degrees off the axis: the corner of a 400 mm field lies at 16."""


LEAST_PROFILE = 0.01
"""Of a beam with head scatter, which is drawn in units of its in-air profile (chosen)."""


@dataclass(frozen=True, eq=False)
class LateralKernels:
    """Radial kernels w_i (3, n) in 1/mm^2 at radius_mm (n,), for one source-surface distance. The first sample of a
    kernel stands for the area of one `sample_mm` square around the axis (primary dose)."""

    ssd_mm: float
    radius_mm: NDArray[np.float64]
    values: NDArray[np.float64]


@dataclass(frozen=True)
class Reference:
    """Reference conditions of the output calibration: gy_per_mu at depth_mm in water, field_mm square at the isocentre
    plane, source-surface distance ssd_mm."""

    ssd_mm: float
    depth_mm: float
    field_mm: float
    gy_per_mu: float


@dataclass(frozen=True)
class Collimation:
    """How the collimator shapes fluence: transmission through leaves and jaws (fractions), and how far the radiation
    edge lies behind the mechanical leaf tip (half of the dosimetric leaf gap), mm. tongue_groove_mm: width of the strip
    along the border of two leaves that only both of them together open (0: not modelled)."""

    leaf_transmission: float
    jaw_transmission: float
    leaf_offset_mm: float
    tongue_groove_mm: float = 0.0


@dataclass(frozen=True, eq=False)
class BeamModel:
    """Singular-value pencil-beam model (Bortfeld, Schlegel, Rhein 1993). attenuation and betas in 1/mm; profile: in-air
    fluence relative to the axis at radius_mm on the isocentre plane. softening (s2, s4): off the axis radiological
    depths count 1 + s2 t^2 + s4 t^4 times, t the tangent of the ray's angle to the axis; zeros for none. extra_focal:
    head scatter as fluence of its own (head_scatter.py); None where kernels hold it or nothing does. superposition:
    what the collapsed cone needs; None for a model that has a pencil beam only."""

    name: str
    energy_mv: float
    fluence_mode: str
    sad_mm: float
    attenuation_per_mm: float
    betas_per_mm: tuple[float, float, float]
    penumbra_fwhm_mm: float
    kernels: tuple[LateralKernels, ...]
    profile_radius_mm: NDArray[np.float64]
    profile_relative: NDArray[np.float64]
    reference: Reference | None
    collimation: Collimation
    provenance: dict[str, Any]
    superposition: SuperpositionModel | None = None
    softening: tuple[float, float] = (0.0, 0.0)
    extra_focal: ExtraFocal | None = None

    def kernels_at(self, ssd_mm: float) -> LateralKernels:
        """The tabulated kernels nearest to a source-surface distance (they change by under 1 % in 50 mm)."""
        return min(self.kernels, key=lambda k: abs(k.ssd_mm - ssd_mm))

    def depth_factors(self, depth_mm: NDArray[np.floating]) -> NDArray[np.float64]:
        """f_i(d) as (3, n): Bortfeld 1993, the build-up and attenuation of each kernel, at depths on the axis."""
        d, m = np.asarray(depth_mm, np.float64), self.attenuation_per_mm
        return np.stack([b / (b - m) * (np.exp(-m * d) - np.exp(-b * d)) for b in self.betas_per_mm])


def load_beam_model(path: Path) -> BeamModel:
    """Reads a `couchside-beam-model-1` file. Raises EngineError naming what is missing or impossible."""
    try:
        raw = json.loads(path.read_text("utf-8"))
        if raw["format"] != "couchside-beam-model-1":
            raise EngineError(f"{path.name}: format '{raw['format']}' is not couchside-beam-model-1")
        model = _from_json(raw)
    except (OSError, json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise EngineError(f"{path.name} is not a usable beam model ({type(error).__name__}: {error})") from error
    validate(model, path.name)
    return model


def _from_json(raw: dict[str, Any]) -> BeamModel:
    b0, b1, b2 = (float(b) for b in raw["betas_per_mm"])
    s2, s4 = (float(s) for s in raw.get("softening", (0.0, 0.0)))
    radius, head = np.asarray(raw["kernel_radius_mm"], np.float64), raw.get("extra_focal")
    return BeamModel(
        name=raw["name"],
        energy_mv=float(raw["energy_mv"]),
        fluence_mode=raw["fluence_mode"],
        sad_mm=float(raw["sad_mm"]),
        attenuation_per_mm=float(raw["attenuation_per_mm"]),
        betas_per_mm=(b0, b1, b2),
        penumbra_fwhm_mm=float(raw["penumbra_fwhm_mm"]),
        kernels=tuple(
            LateralKernels(float(k["ssd_mm"]), radius, np.asarray(k["values_per_mm2"], np.float64))
            for k in raw["kernels"]
        ),
        profile_radius_mm=np.asarray(raw["profile"]["radius_mm"], np.float64),
        profile_relative=np.asarray(raw["profile"]["relative"], np.float64),
        reference=Reference(**raw["reference"]) if raw.get("reference") else None,
        collimation=Collimation(**raw["collimation"]),
        provenance=raw["provenance"],
        superposition=superposition.from_json(raw["superposition"]) if raw.get("superposition") else None,
        softening=(s2, s4),
        extra_focal=ExtraFocal(**{k: float(v) for k, v in head.items()}) if head else None,
    )


def validate(model: BeamModel, name: str) -> None:
    """Raises EngineError with the first thing that cannot be of a photon beam; `name` is the file that it came from.
    Comparisons are written so that a NaN fails them."""
    for good, sentence in (*_beam_checks(model), *_table_checks(model), *_head_checks(model)):
        if not good:
            raise EngineError(f"{name}: {sentence}")
    if model.superposition is not None:
        # One after the other: later checks may assume the earlier ones.
        for good, sentence in superposition.checks(model.superposition, model.sad_mm):
            if not good:
                raise EngineError(f"{name}: {sentence}")


def _beam_checks(model: BeamModel) -> tuple[tuple[bool, str], ...]:
    m, collimation, reference = model.attenuation_per_mm, model.collimation, model.reference
    betas_fit = all(b > 0 and abs(b - m) > 1e-9 for b in model.betas_per_mm)
    calibrated = reference is None or all(0 < value < np.inf for value in vars(reference).values())
    tangent2, (s2, s4) = np.linspace(0.0, WIDEST_TANGENT, 41) ** 2, model.softening
    softening = 1.0 + tangent2 * (s2 + tangent2 * s4)
    return (
        (500 <= model.sad_mm <= 2000, "source-axis distance must lie in 500..2000 mm"),
        (0 < m < 0.05, "attenuation must lie in 0..0.05 per mm"),
        (betas_fit, "betas must be positive and differ from the attenuation"),
        (0 < model.penumbra_fwhm_mm < 30, "penumbra must lie in 0..30 mm"),
        (0 <= collimation.leaf_transmission < 0.2, "leaf transmission must lie in 0..0.2"),
        (0 <= collimation.jaw_transmission < 0.2, "jaw transmission must lie in 0..0.2"),
        (0 <= collimation.leaf_offset_mm < 5, "the radiation edge must lie 0..5 mm behind the leaf tip"),
        (0 <= collimation.tongue_groove_mm < 3, "the tongue-and-groove width must lie in 0..3 mm"),
        (bool(np.all((softening > 0.5) & (softening < 2))), "softening of depths must stay within 0.5..2"),
        (calibrated, "reference conditions must be positive numbers"),
    )


def _table_checks(model: BeamModel) -> tuple[tuple[bool, str], ...]:
    radius, relative, tables = model.profile_radius_mm, model.profile_relative, model.kernels
    return (
        (bool(tables), "at least one kernel table is needed"),
        (all(k.values.shape == (3, k.radius_mm.size) for k in tables), "kernels must be 3 x radii"),
        (all(_grows(k.radius_mm) and k.radius_mm.size > 1 for k in tables), "kernel radii must grow"),
        (all(bool(np.isfinite(k.values).all()) for k in tables), "kernel values must be finite"),
        (radius.shape == relative.shape, "profile needs one value for each radius"),
        (_grows(radius) and bool(np.all(relative >= 0)), "profile radii must grow and its values not be negative"),
    )


def _head_checks(model: BeamModel) -> tuple[tuple[bool, str], ...]:
    head = model.extra_focal
    if head is None:
        return ()
    ordered = 0 < head.distance_mm < head.collimator_mm < model.sad_mm
    return (
        (0 <= head.weight < 0.5, "extra-focal weight must lie in 0..0.5"),
        (0 < head.sigma_mm < 200, "extra-focal sigma must lie in 0..200 mm"),
        (ordered, "extra-focal source, collimator and isocentre must follow each other from the target"),
        (bool(np.all(model.profile_relative > LEAST_PROFILE)), "head scatter needs a profile above 0.01"),
    )


def _grows(values: NDArray[np.float64]) -> bool:
    return values.ndim == 1 and values.size > 0 and bool(np.all(np.diff(values) > 0))


def save_beam_model(model: BeamModel, path: Path) -> None:
    """Writes the file that `load_beam_model` reads, numbers to 7 significant digits."""
    raw: dict[str, Any] = {
        "format": "couchside-beam-model-1",
        "name": model.name,
        "energy_mv": model.energy_mv,
        "fluence_mode": model.fluence_mode,
        "sad_mm": model.sad_mm,
        "attenuation_per_mm": model.attenuation_per_mm,
        "betas_per_mm": list(model.betas_per_mm),
        "softening": list(model.softening),
        "extra_focal": vars(model.extra_focal) if model.extra_focal else None,
        "penumbra_fwhm_mm": model.penumbra_fwhm_mm,
        "collimation": vars(model.collimation),
        "reference": vars(model.reference) if model.reference else None,
        "profile": {"radius_mm": model.profile_radius_mm.tolist(), "relative": model.profile_relative.tolist()},
        "kernel_radius_mm": model.kernels[0].radius_mm.tolist(),
        "kernels": [
            {"ssd_mm": k.ssd_mm, "values_per_mm2": [[float(f"{x:.7g}") for x in row] for row in k.values]}
            for k in model.kernels
        ],
        "provenance": model.provenance,
    }
    if model.superposition is not None:
        raw["superposition"] = superposition.to_json(model.superposition)
    path.write_text(json.dumps(raw, indent=1) + "\n", "utf-8")
