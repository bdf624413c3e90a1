"""Rigid registration of two images in LPS mm: the transform, how it is found, values moved by it, how well it fits."""

from engines.registration.agreement import Agreement, agreement
from engines.registration.moving import moved, moved_voxels, sampled
from engines.registration.rigid import register_rigid
from engines.registration.transform import RigidTransform

__all__ = ["Agreement", "RigidTransform", "agreement", "moved", "moved_voxels", "register_rigid", "sampled"]
