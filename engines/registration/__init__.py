"""Registration of two images in LPS mm: the transforms, how they are found, values moved by them, how well they fit."""

from engines.registration.agreement import Agreement, agreement
from engines.registration.field import DisplacementField
from engines.registration.moving import moved, moved_voxels, sampled
from engines.registration.rigid import register_rigid
from engines.registration.transform import RigidTransform

__all__ = [
    "Agreement",
    "DisplacementField",
    "RigidTransform",
    "agreement",
    "moved",
    "moved_voxels",
    "register_rigid",
    "sampled",
]
