"""Registration of two images in LPS mm: the transforms, how they are found, values moved by them, how well they fit."""

from engines.registration.agreement import Agreement, agreement
from engines.registration.deformable import AIR_HU, BACKWARD, METHOD, DeformableOptions, Scan, register_deformable
from engines.registration.field import DisplacementField
from engines.registration.intensities import Intensities
from engines.registration.inverse import Inverse, composed, found_in_fixed, inconsistency_mm, inverse_of
from engines.registration.moving import moved, sampled
from engines.registration.quality import Likeness, RegistrationQuality, quality_of
from engines.registration.rigid import register_rigid
from engines.registration.transform import RigidTransform

__all__ = [
    "AIR_HU",
    "BACKWARD",
    "METHOD",
    "Agreement",
    "DeformableOptions",
    "DisplacementField",
    "Intensities",
    "Inverse",
    "Likeness",
    "RegistrationQuality",
    "RigidTransform",
    "Scan",
    "agreement",
    "composed",
    "found_in_fixed",
    "inconsistency_mm",
    "inverse_of",
    "moved",
    "quality_of",
    "register_deformable",
    "register_rigid",
    "sampled",
]
