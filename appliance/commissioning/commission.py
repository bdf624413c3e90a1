"""From measurements to a judged beam model: the whole of `couchside commission` but for its files.

    published spectrum, point kernels ─► pencils in water ─► fit on the axis ⇄ fit across ─► beam
    beam ─► superposition section;  beam's pencils ─► three kernels of the pencil beam;  both ─► MPPG 5.b

Pencils and collapsed cone are two ways to the same superposition. Once the fit has settled, the collapsed cone is run
on the measured fields, and the fit goes on with the pencils corrected by the ratio of both (space mapping: Bandler et
al., IEEE Trans Microw Theory Tech 52:337, 2004): the beam that is written fits with the collapsed cone itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from appliance.commissioning.agreement import Comparison
from appliance.commissioning.cone import CollapsedCone
from appliance.commissioning.curves import Array, Curve, Kind, equivalent_square_mm, of_kind
from appliance.commissioning.description import BeamDescription
from appliance.commissioning.fit_axis import at_bound, fit_axis
from appliance.commissioning.fit_pencil import fit_pencil
from appliance.commissioning.fit_profile import TAILOR, fit_softening, fit_source_width
from appliance.commissioning.model import Written, beam_model
from appliance.commissioning.pencil import PencilBeam
from appliance.commissioning.physics import AxisParameters, Beam, Correction, Superposed, key
from appliance.commissioning.predict import Algorithm, Setup, comparisons
from appliance.commissioning.read_folder import Measurements
from appliance.commissioning.report import Judged
from appliance.commissioning.table import mppg_table
from appliance.contracts.progress import Progress, silent
from appliance.errors import ModelError, RefusedMeasurements
from engines.errors import EngineError
from engines.photon.beam_model import BeamModel
from engines.photon.beamfit.pencils import make_pencils
from engines.photon.calibrate import gy_per_mu
from engines.photon.photon_data import Attenuation, Spectrum, load_attenuation, load_spectrum
from engines.photon.point_kernels import PointKernels, load_point_kernels
from engines.photon.superposition import calibrate

KERNELS = Path(__file__).resolve().parents[2] / "models" / "kernels"
SPECTRA = {"STANDARD": "spectrum_6mv.csv", "FFF": "spectrum_6mv_fff.csv"}
SPECTRUM_MV = (5.0, 7.0)
"""The shipped spectra are of 6 MV."""
HEAD_DISTANCE_MM, COLLIMATOR_MM = 125.0, 450.0
"""Of the flattening filter (or what scatters instead) and of the collimator's lower parts, from the target (chosen: of
the size of C-arm machines; the fitted width of the source absorbs most of what they are wrong by)."""
SOURCE_FWHM_MM = 1.5
ROUNDS, CONE_ROUNDS = 2, 1
STEADY_MM, FEWEST_STEADY = 10.0, 6
"""Depth from which, and points by which, the correction of a depth dose is taken as a parabola (chosen)."""


@dataclass(frozen=True, eq=False)
class Tables:
    """Shipped data that a fit starts from."""

    kernels: PointKernels
    attenuation: Attenuation
    spectrum: Spectrum


@dataclass(frozen=True, eq=False)
class Commissioned:
    """judged: the collapsed cone first; its table decides. facts: what was fitted, in words."""

    model: BeamModel
    judged: tuple[Judged, ...]
    facts: dict[str, str]
    notes: tuple[str, ...]


def load_tables(beam: BeamDescription, folder: Path) -> Tables:
    """Raises RefusedMeasurements where a beam needs a spectrum of its own, ModelError for unusable tables."""
    shipped = SPECTRUM_MV[0] <= beam.energy_mv <= SPECTRUM_MV[1]
    if not beam.spectrum and not shipped:
        raise RefusedMeasurements(
            f"there is no published spectrum of {beam.energy_mv:g} MV with this release",
            what="The beam",
            remedy="Put one into the folder (columns energy_mev, fluence) and name it as 'spectrum' in beam.toml",
        )
    spectrum = folder / beam.spectrum if beam.spectrum else KERNELS / SPECTRA[beam.fluence_mode]
    try:
        return Tables(
            load_point_kernels(KERNELS / "water_point_kernels.npz"),
            load_attenuation(KERNELS / "water.csv"),
            load_spectrum(spectrum),
        )
    except EngineError as error:
        raise ModelError(str(error)) from error


def commission(
    measurements: Measurements, tables: Tables, *, cone_rounds: int = CONE_ROUNDS, progress: Progress = silent
) -> Commissioned:
    """Fits and judges. Deterministic. Raises ModelError if the data lead to an impossible model."""
    description, curves = measurements.beam, measurements.curves
    setup = Setup(description.sad_mm, description.reference.field_mm, description.detector.width_mm)
    beam, reach = start(description, tables), 0.0
    correction = Correction()
    rounds = ROUNDS + cone_rounds
    for number in range(rounds):
        part = Part(progress, number / (rounds + 1), (number + 1) / (rounds + 1))
        if number >= ROUNDS:
            correction = cone_correction(beam, description, tables, curves, part)
        beam, reach = fitted(beam, curves, setup, correction, part)
    try:
        written = beam_model(beam, description, tables.attenuation, tables.kernels)
    except EngineError as error:
        raise ModelError(f"the measurements lead to an impossible model ({error})") from error
    model = fit_pencil(written.model, curves)
    judged = judge(model, measurements, setup, Part(progress, rounds / (rounds + 1), 1.0))
    progress("judged", 1.0)
    return Commissioned(model, judged, _facts(beam, reach), _notes(beam, reach, measurements, written))


@dataclass(frozen=True)
class Part:
    """A share of the whole progress."""

    progress: Progress
    begin: float
    end: float

    def __call__(self, step: str, fraction: float) -> None:
        self.progress(step, self.begin + (self.end - self.begin) * fraction)


def start(description: BeamDescription, tables: Tables) -> Beam:
    """The published spectrum in a machine of the usual build."""
    energy, kernels = tables.spectrum.energy_mev, tables.kernels
    inside = (energy >= kernels.energy_mev[0]) & (energy <= kernels.energy_mev[-1])
    pencils = make_pencils(kernels, tables.attenuation, energy[inside])
    collimation = description.collimation
    return Beam(
        pencils=pencils,
        base_fluence=tables.spectrum.fluence[inside],
        sad_mm=description.sad_mm,
        axis=AxisParameters(),
        softening_per_deg=TAILOR if description.fluence_mode == "STANDARD" else (0.0, 0.0, 0.0),
        profile_radius_mm=np.array([0.0, 300.0]),
        profile_relative=np.ones(2),
        source_fwhm_mm=SOURCE_FWHM_MM,
        head_distance_mm=HEAD_DISTANCE_MM,
        collimator_mm=COLLIMATOR_MM,
        transmission=collimation.jaw_transmission if collimation else 0.0,
    )


def fitted(beam: Beam, curves: Sequence[Curve], setup: Setup, correction: Correction, tell: Part) -> tuple[Beam, float]:
    """(beam, radius to which its profile is measured) after one round on the axis and across."""
    beam = fit_axis(beam, curves, setup, correction, lambda f: tell("spectrum and head scatter", 0.1 + 0.4 * f))
    made = fit_softening(beam, curves, correction, lambda f: tell("in-air profile", 0.5 + 0.3 * f))
    tell("source width", 0.9)
    return fit_source_width(made.beam, curves, setup, correction), made.reach_mm


def cone_correction(
    beam: Beam, description: BeamDescription, tables: Tables, curves: Sequence[Curve], tell: Part
) -> Correction:
    """Ratio of collapsed cone to pencils for every curve. Factors of oblong fields take that of their equivalent square
    (chosen: a run for each would take minutes; the judgement at the end has one for each)."""
    written = beam_model(beam, description, tables.attenuation, tables.kernels)
    factors = of_kind(curves, Kind.OUTPUT_FACTOR)
    squares = [c for c in factors if c.field_x_mm == c.field_y_mm]
    direct = [c for c in of_kind(curves, Kind.DEPTH_DOSE, Kind.PROFILE) if c.shaped_by == "jaws"] + squares
    cone, plain = _cone(written.model, direct), Superposed(beam)
    ratios: dict[str, tuple[Array, Array]] = {}
    for done, curve in enumerate(direct):
        tell("collapsed cone", 0.1 * done / len(direct))
        ratios[key(curve)] = curve.positions_mm, steady(curve, cone.dose(curve) / plain.dose(curve))
    side = np.array([c.field_x_mm for c in squares])
    order = np.argsort(side)
    for curve in factors:
        same = [i for i in order if abs(squares[i].ssd_mm - curve.ssd_mm) < 1 and squares[i].depth_mm == curve.depth_mm]
        if key(curve) not in ratios and same:
            at = equivalent_square_mm(curve.field_x_mm, curve.field_y_mm)
            known = np.array([ratios[key(squares[i])][1][0] for i in same])
            ratios[key(curve)] = curve.positions_mm, np.array([np.interp(at, side[same], known)])
    return Correction(ratios)


def steady(curve: Curve, ratio: Array) -> Array:
    """A depth dose's ratio (n,) without what changes from voxel to voxel: a parabola from STEADY_MM on. Lines of the
    collapsed cone make single voxels of a narrow field deep in water differ by half a percent; a spectrum that follows
    them ends at its bounds."""
    deep = curve.positions_mm >= STEADY_MM
    if curve.kind is not Kind.DEPTH_DOSE or np.count_nonzero(deep) < FEWEST_STEADY:
        return ratio
    course = np.polynomial.Polynomial.fit(curve.positions_mm[deep], ratio[deep], 2)
    return np.where(deep, course(curve.positions_mm), ratio)


def judge(model: BeamModel, measurements: Measurements, setup: Setup, tell: Part) -> tuple[Judged, ...]:
    """The collapsed cone's table and the pencil beam's, each with every curve that it can compute."""
    algorithms: list[tuple[Algorithm, float]] = [(PencilBeam(model), gy_per_mu(model))]
    if model.superposition is not None:
        algorithms.insert(0, (_cone(model, measurements.curves), calibrate.gy_per_mu(model)))
    made = []
    for number, (algorithm, gy) in enumerate(algorithms):
        part = Part(tell, number / len(algorithms), (number + 1) / len(algorithms))
        made.append(judge_by(algorithm, gy, measurements, setup, part))
    return tuple(made)


def judge_by(
    algorithm: Algorithm, gy: float, measurements: Measurements, setup: Setup, tell: Progress = silent
) -> Judged:
    """One algorithm's table. gy: its calibration, Gy per MU of unit fluence."""
    reference, curves = measurements.beam.reference, measurements.curves
    point = Curve(
        Kind.OUTPUT_FACTOR, reference.field_mm, reference.field_mm, reference.ssd_mm, reference.depth_mm, "Z",
        np.array([reference.depth_mm]), np.ones(1),
    )  # fmt: skip
    compared: list[Comparison] = []
    for done, curve in enumerate(curves):
        tell(algorithm.name, done / len(curves))
        compared += comparisons([curve], algorithm, setup, among=curves)
    off = float(100.0 * (algorithm.dose(point)[0] * gy / reference.gy_per_mu - 1.0))
    return Judged(algorithm.name, tuple(compared), mppg_table(compared, reference, off))


def _cone(model: BeamModel, curves: Sequence[Curve]) -> CollapsedCone:
    if model.superposition is None:
        raise ModelError(f"beam model '{model.name}' has no superposition section")
    return CollapsedCone(model.superposition, model.collimation, model.sad_mm, curves)


def _facts(beam: Beam, reach_mm: float) -> dict[str, str]:
    a, energy = beam.axis, beam.pencils.energy_mev
    mean = float(beam.fluence @ energy)
    return {
        "Spectrum": f"mean {mean:.2f} MeV; tilt {a.tilt:+.3f}, hardening {a.hardening:+.3f}",
        "Head scatter": f"{100 * a.head_weight:.1f} % of the axis in a wide field, sigma {a.head_sigma_mm:.1f} mm",
        "Contaminant electrons": f"{a.electron_weight:.3f} at the surface, {a.electron_attenuation_per_mm:.3f} /mm",
        "Source": f"{beam.source_fwhm_mm:.2f} mm FWHM on the isocentre plane",
        "Softening": ", ".join(f"{c:.3g}" for c in beam.softening_per_deg) + " per degree, degree², degree³",
        "Profile": f"measured to {reach_mm:.0f} mm" if reach_mm else "not measured: flat",
    }


def _notes(beam: Beam, reach_mm: float, measurements: Measurements, written: Written) -> tuple[str, ...]:
    notes = [f"{name} ended at the bound of its range" for name in at_bound(beam.axis)]
    if not reach_mm:
        notes.append("No profile says what the beam is off the axis: the in-air profile is taken as flat")
    if not of_kind(measurements.curves, Kind.OUTPUT_FACTOR, Kind.COLLIMATOR_FACTOR):
        notes.append("No output factors: head scatter is a typical one, not this machine's")
    if measurements.beam.collimation is None:
        notes.append("Transmission and leaf offset are not measured; typical figures stand in the model")
    notes.append(f"Three kernels of the pencil beam meet circular fields within {100 * written.worst:.1f} %")
    notes += [f"{name} holds no measurement and was left alone" for name in measurements.left_alone]
    return tuple(notes)
