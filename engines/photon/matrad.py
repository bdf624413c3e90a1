"""Imports photon machine files of matRad and pyRadPlan (`photons_*.mat`) as beam models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from engines.errors import EngineError
from engines.photon.beam_model import BeamModel, Collimation, LateralKernels, Reference, validate

NOT_A_MACHINE = (
    OSError, MatReadError, KeyError, AttributeError, TypeError, ValueError, IndexError, NotImplementedError,
)  # fmt: skip
"""What SciPy's reader and the fields of another structure raise."""


def import_matrad(
    path: Path,
    *,
    name: str,
    ssd_mm: tuple[float, ...] = (),
    collimation: Collimation | None = None,
    reference: Reference | None = None,
    provenance: dict[str, Any] | None = None,
) -> BeamModel:
    """A matRad photon machine as a BeamModel. ssd_mm chooses the kernel tables to keep (all if empty).

    Fields read (matRad wiki, 'photon machine'): meta.SAD, data.m, data.betas, data.energy, data.penumbraFWHMatIso,
    data.primaryFluence (radius mm, relative), data.kernelPos (mm), data.kernel(SSD).kernel1..3 (1/mm^2).
    Raises EngineError if the file is not such a machine.
    """
    try:
        machine = loadmat(path, squeeze_me=True, struct_as_record=False)["machine"]
        data = machine.data
        tables = [k for k in np.atleast_1d(data.kernel) if not ssd_mm or float(k.SSD) in ssd_mm]
        radius = np.asarray(data.kernelPos, np.float64)
        b0, b1, b2 = (float(b) for b in data.betas)
        fluence = np.asarray(data.primaryFluence, np.float64)
        model = BeamModel(
            name=name,
            energy_mv=float(data.energy),
            fluence_mode="STANDARD",
            sad_mm=float(machine.meta.SAD),
            attenuation_per_mm=float(data.m),
            betas_per_mm=(b0, b1, b2),
            penumbra_fwhm_mm=float(data.penumbraFWHMatIso),
            kernels=tuple(
                LateralKernels(float(k.SSD), radius, np.stack([k.kernel1, k.kernel2, k.kernel3]).astype(np.float64))
                for k in tables
            ),
            profile_radius_mm=fluence[:, 0],
            profile_relative=fluence[:, 1],
            reference=reference,
            collimation=collimation or Collimation(leaf_transmission=0.0, jaw_transmission=0.0, leaf_offset_mm=0.0),
            provenance=provenance or {"source": f"matRad photon machine file {path.name}"},
        )
    except NOT_A_MACHINE as error:
        raise EngineError(f"{path.name} is not a matRad photon machine ({type(error).__name__}: {error})") from error
    if not model.kernels:
        raise EngineError(f"{path.name} has no kernel for a source-surface distance of {ssd_mm} mm")
    validate(model, path.name)
    return model
