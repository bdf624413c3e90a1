"""Beam geometry: IEC 61217 angles of the machine to axes in DICOM patient LPS."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError

# Columns: patient LPS components of the IEC 61217 table-top axes X (observer facing the gantry: right), Y (towards the
# gantry) and Z (up), for each patient position (DICOM PS3.3 C.7.3.1.1.2: head or feet first, supine or prone).
_TABLE_TO_LPS: dict[str, tuple[tuple[int, int, int], tuple[int, int, int], tuple[int, int, int]]] = {
    "HFS": ((1, 0, 0), (0, 0, 1), (0, -1, 0)),
    "HFP": ((-1, 0, 0), (0, 0, 1), (0, 1, 0)),
    "FFS": ((-1, 0, 0), (0, 0, -1), (0, -1, 0)),
    "FFP": ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
}
PATIENT_POSITIONS = tuple(_TABLE_TO_LPS)


@dataclass(frozen=True, eq=False)
class BeamFrame:
    """Axes of the beam limiting device (IEC 61217 X_b, Y_b, Z_b; Z_b towards the source) as unit vectors in LPS, the
    isocentre (x, y, z) in LPS mm, and the source-axis distance."""

    isocentre_mm: tuple[float, float, float]
    ex: NDArray[np.float64]
    ey: NDArray[np.float64]
    ez: NDArray[np.float64]
    sad_mm: float

    @property
    def source_mm(self) -> NDArray[np.float64]:
        return np.asarray(self.isocentre_mm, np.float64) + self.sad_mm * self.ez

    def project(self, points_mm: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(u, v) in mm on the isocentre plane of LPS points (n, 3), along their rays from the source."""
        offset = np.asarray(points_mm, np.float64) - np.asarray(self.isocentre_mm)
        magnification = self.sad_mm / (self.sad_mm - offset @ self.ez)
        return (offset @ self.ex) * magnification, (offset @ self.ey) * magnification


def beam_frame(
    isocentre_mm: tuple[float, float, float],
    gantry_deg: float,
    *,
    collimator_deg: float = 0.0,
    couch_deg: float = 0.0,
    sad_mm: float = 1000.0,
    patient_position: str = "HFS",
) -> BeamFrame:
    """Frame of a beam from IEC 61217 angles. Raises EngineError for an unknown patient position.

    IEC 61217: the gantry turns about Y_f, the beam limiting device about Z_g, the patient support about Z_f.
    """
    if patient_position not in _TABLE_TO_LPS:
        raise EngineError(f"patient position '{patient_position}' is none of {', '.join(PATIENT_POSITIONS)}")
    phi, theta, psi = np.deg2rad([gantry_deg, collimator_deg, couch_deg])
    gantry_x = np.array([np.cos(phi), 0.0, -np.sin(phi)])
    gantry_y = np.array([0.0, 1.0, 0.0])
    ez = np.array([np.sin(phi), 0.0, np.cos(phi)])
    ex = np.cos(theta) * gantry_x + np.sin(theta) * gantry_y
    ey = -np.sin(theta) * gantry_x + np.cos(theta) * gantry_y
    fixed_to_table = np.array([[np.cos(psi), np.sin(psi), 0.0], [-np.sin(psi), np.cos(psi), 0.0], [0.0, 0.0, 1.0]])
    to_lps = np.array(_TABLE_TO_LPS[patient_position], np.float64).T @ fixed_to_table
    return BeamFrame(isocentre_mm, to_lps @ ex, to_lps @ ey, to_lps @ ez, sad_mm)
