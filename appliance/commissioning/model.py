"""The beam model that a fitted beam becomes: superposition section and pencil-beam kernels from the same physics."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from appliance.commissioning.description import BeamDescription
from appliance.commissioning.physics import Beam
from engines.photon.beam_model import BeamModel, Collimation, Reference, validate
from engines.photon.beamfit.decompose import Beamlet, decompose
from engines.photon.photon_data import Attenuation, Spectrum
from engines.photon.point_kernels import PointKernels
from engines.photon.superposition.kernel import from_data
from engines.photon.superposition.model import SuperpositionModel

SSD_MM = (800.0, 850.0, 900.0, 950.0, 1000.0)
"""Kernel tables of the pencil beam (chosen: patients' surfaces; in between the nearest is taken, kernels_at)."""
WIDEST_DEG = 13.0
"""From the axis to the side of a 400 mm field, and a little beyond."""
TYPICAL = Collimation(leaf_transmission=0.016, jaw_transmission=0.001, leaf_offset_mm=0.7)
"""Where nothing is measured: the figures of models/beam/convert_generic_6mv.py, chosen there."""


@dataclass(frozen=True, eq=False)
class Written:
    """worst: largest miss of circular-field doses by the pencil beam's three kernels, as a share."""

    model: BeamModel
    worst: float


def beam_model(beam: Beam, description: BeamDescription, attenuation: Attenuation, kernels: PointKernels) -> Written:
    """Raises EngineError for an impossible model."""
    rings = beam.pencils.mix(beam.fluence)
    beamlet = Beamlet(beam.pencils, rings, beam.contamination, beam.extra_focal, beam.sad_mm)
    made = decompose(beamlet, SSD_MM)
    measured = description.collimation
    model = BeamModel(
        name=description.name,
        energy_mv=description.energy_mv,
        fluence_mode=description.fluence_mode,
        sad_mm=description.sad_mm,
        attenuation_per_mm=made.attenuation_per_mm,
        betas_per_mm=made.betas_per_mm,
        penumbra_fwhm_mm=round(beam.source_fwhm_mm, 4),
        kernels=made.kernels,
        profile_radius_mm=beam.profile_radius_mm,
        profile_relative=np.round(beam.profile_relative * (1.0 + (beam.profile_radius_mm / beam.sad_mm) ** 2), 6),
        reference=Reference(**description.reference.model_dump()),
        collimation=Collimation(**measured.model_dump()) if measured else TYPICAL,
        provenance=_provenance(beam, description, kernels),
        superposition=_superposition(beam, attenuation, kernels),
        softening=even_softening(beam.softening_per_deg),
        extra_focal=beam.extra_focal if beam.axis.head_weight > 0 else None,
    )
    validate(model, description.name)
    return Written(model, made.worst)


def even_softening(per_deg: tuple[float, float, float]) -> tuple[float, float]:
    """What depths count times off the axis, as the even polynomial in the angle's tangent that the pencil beam takes,
    fitted where fields are."""
    angle = np.linspace(0.0, WIDEST_DEG, 60)
    c1, c2, c3 = per_deg
    wanted = c1 * angle + c2 * angle**2 + c3 * angle**3
    tangent2 = np.tan(np.radians(angle)) ** 2
    s2, s4 = np.linalg.lstsq(np.stack([tangent2, tangent2**2], axis=1), wanted, rcond=None)[0]
    return round(float(s2), 4), round(float(s4), 4)


def _superposition(beam: Beam, attenuation: Attenuation, kernels: PointKernels) -> SuperpositionModel:
    energy = beam.pencils.energy_mev
    half = 0.5 * float(energy[1] - energy[0])
    spectrum = Spectrum(energy, np.append(energy - half, energy[-1] + half), beam.fluence, "fitted")
    own, kernel = from_data(spectrum, attenuation, kernels)
    return SuperpositionModel(
        spectrum=own,
        kernel=kernel,
        softening_per_deg=beam.softening_per_deg,
        profile_radius_mm=beam.profile_radius_mm,
        profile_relative=beam.profile_relative,
        source_fwhm_mm=beam.source_fwhm_mm,
        extra_focal=beam.extra_focal,
        contamination=beam.contamination,
    )


def _provenance(beam: Beam, description: BeamDescription, kernels: PointKernels) -> dict[str, Any]:
    return {
        "made_by": f"couchside commission, from measurements '{description.name}'",
        "data": dict(description.sources),
        "trust": description.trust.statement or "not stated with the measurements",
        "point_kernels": kernels.source,
        "pencil_kernels": "point kernels superposed along the axis, three terms of Bortfeld, Schlegel, Rhein, Med Phys "
        "20:311 (1993); contaminant electrons are in them, head scatter is fluence of its own",
        "collimation": "measured" if description.collimation else "not measured: typical figures",
        "reference": "as stated with the measurements",
        "fitted": {name: round(value, 6) for name, value in asdict(beam.axis).items()},
    }
