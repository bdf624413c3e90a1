"""Plans for bench/preference.py: reference doses of OpenKBP patients, changed as plans differ, judged by our
evaluation.

Real: anatomy, contours and the reference dose. Made: every variant of a dose (scaled, shifted, blurred, organs spared
or loaded, a cold spot in a target), and the machine's figures, which are drawn, because the reference plans have none.
The scheduled plan of a patient is the reference dose, shifted. Features are kept in bench/results/, never in the
repository.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from appliance.builtin.cases import kind_of
from appliance.builtin.packed import FRACTIONS, PackedPatient, read_packed
from appliance.contracts import (
    CalculatedDose,
    Case,
    Evaluation,
    Identity,
    Image,
    PlanFacts,
    SourceObject,
    Structure,
    StructureKind,
)
from appliance.contracts.preference import FEATURE_SCHEMA, FeatureValue, PlanFeatures
from appliance.errors import CouchsideError
from appliance.evaluation import evaluate, goal_set_for_site
from appliance.evaluation.preference import plan_features
from appliance.evaluation.preference.catalogue import NAMES
from engines.grid import VoxelSet

ROOT = Path(__file__).resolve().parents[1]
OPENKBP = ROOT.parent / "shared" / "openkbp" / "train"
CACHE = ROOT / "bench" / "results" / "preference_plans.npz"
HIGHEST_GY = 70.0
Dose = NDArray[np.float32]


def plans(patients: int, each: int, *, seed: int = 1) -> list[list[PlanFeatures]]:
    """`each` plans of as many patients as are asked for and can be read, from the cache where it holds just these."""
    key = f"{FEATURE_SCHEMA}/{patients}/{each}/{seed}"
    if CACHE.exists():
        with np.load(CACHE, allow_pickle=False) as kept:
            if str(kept["key"]) == key:
                return [[_features(row) for row in rows] for rows in kept["values"]]
    made: list[list[PlanFeatures]] = []
    files = sorted(OPENKBP.glob("pt_*.npz"), key=lambda path: int(path.stem.split("_")[1]))
    for path in files:
        if len(made) == patients:
            break
        try:
            patient = read_packed(path)
            if patient.dose_gy is not None:
                made.append(_of_patient(patient, each, np.random.default_rng([seed, len(made)])))
        except CouchsideError:
            continue  # no CT, no dose, or no PTV_7000: the goal set does not fit
    CACHE.parent.mkdir(exist_ok=True)
    values = [[[np.nan if f.value is None else f.value for f in plan.features] for plan in rows] for rows in made]
    np.savez(CACHE, key=np.asarray(key), values=np.asarray(values))
    return made


def _features(row: NDArray[np.float64]) -> PlanFeatures:
    values = (None if np.isnan(value) else float(value) for value in row)
    features = tuple(FeatureValue(name, value) for name, value in zip(NAMES, values, strict=True))
    return PlanFeatures("head-neck", features)


def _of_patient(patient: PackedPatient, each: int, random: np.random.Generator) -> list[PlanFeatures]:
    case = _case(patient)
    reference = patient.dose_gy
    if reference is None:
        raise ValueError("a patient without a dose")
    scheduled = _judge(case, _shifted(reference, patient, random.normal(0.0, 2.5, 3)), random)
    features = []
    for _ in range(each):
        evaluation = _judge(case, _variant(reference, patient, random), random)
        features.append(plan_features(evaluation, site="head-neck", scheduled=scheduled))
    return features


def _case(patient: PackedPatient) -> Case:
    structures = tuple(
        Structure(number, name, name, kind_of(name), (), VoxelSet.from_dense(mask.astype(np.float32)))
        for number, (name, mask) in enumerate(patient.masks.items(), 1)
    )
    source = SourceObject("1.2", "1.2.3", "1.2.4", "RTSTRUCT", Path("rs.dcm"), "0" * 64)
    return Case(
        digest=f"openkbp-{patient.name}",
        identity=Identity("bench", "bench", "", "", "1.2.6"),
        frame_of_reference_uid="1.2.5",
        patient_position="HFS",
        image=Image(patient.grid, patient.hu),
        structures=structures,
        prescription=(),
        fractions=FRACTIONS,
        images=(),
        structure_set=source,
    )


def _judge(case: Case, dose_gy: Dose, random: np.random.Generator) -> Evaluation:
    """By the product's evaluation. Monitor units, time and MCS are drawn around what our plans of such patients
    have."""
    mu_per_gy, mcs = 300.0 * float(np.exp(random.normal(0.0, 0.3))), float(random.uniform(0.15, 0.5))
    facts = PlanFacts(
        mu=mu_per_gy * HIGHEST_GY / FRACTIONS,
        beams=9,
        control_points=180,
        segments=90,
        deliverable=True,
        delivery_time_s=float(random.uniform(100.0, 420.0)),
        mcs=mcs,
    )
    dose = CalculatedDose(case.image.grid, dose_gy, "0" * 64, "drawn", "none")
    return evaluate(case, goal_set_for_site("openkbp"), dose, facts)


def _variant(reference: Dose, patient: PackedPatient, random: np.random.Generator) -> Dose:
    """One plausible other plan: its coverage, hot spot and organs differ as plans of several planners do."""
    dose = _shifted(reference, patient, random.normal(0.0, 1.5, 3)) if random.random() < 0.5 else reference
    if random.random() < 0.5:
        dose = ndimage.gaussian_filter(dose, _voxels(patient, abs(random.normal(0.0, 2.5))))
    factor = np.full(dose.shape, random.normal(1.01, 0.025), np.float32)
    targets = [mask for name, mask in patient.masks.items() if kind_of(name) is StructureKind.TARGET]
    inside = np.any(targets, axis=0)
    organs = [name for name in patient.masks if kind_of(name) is StructureKind.ORGAN]
    for name in organs:
        if random.random() < 0.5:
            near = _soft(patient.masks[name], patient, 6.0) * ~inside
            factor += near * np.float32(random.normal(-0.08, 0.22))
    if random.random() < 0.5:
        spot = np.zeros(dose.shape, np.float32)
        spot[tuple(random.choice(np.argwhere(inside)))] = 1.0
        factor -= _soft(spot, patient, 10.0) * np.float32(abs(random.normal(0.0, 0.12)))
    return np.maximum(dose * factor, 0.0).astype(np.float32)


def _soft(mask: NDArray[np.generic], patient: PackedPatient, sigma_mm: float) -> Dose:
    """The region with blurred edges, 1 at its highest."""
    blurred = ndimage.gaussian_filter(mask.astype(np.float32), _voxels(patient, sigma_mm), truncate=2.5)
    return blurred / max(float(blurred.max()), 1e-6)


def _voxels(patient: PackedPatient, length_mm: float) -> tuple[float, ...]:
    return tuple(length_mm / step for step in reversed(patient.grid.spacing_mm))


def _shifted(dose: Dose, patient: PackedPatient, shift_mm: NDArray[np.float64]) -> Dose:
    steps = [shift / step for shift, step in zip(shift_mm, reversed(patient.grid.spacing_mm), strict=True)]
    return np.maximum(ndimage.shift(dose, steps, order=1, mode="nearest"), 0.0).astype(np.float32)
