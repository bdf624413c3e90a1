"""The plan-integrity checks. Importing this package puts them on the list (`registry.CHECKS`)."""

from appliance.checking.checks import (
    beams,
    contours,
    control_points,
    difference,
    dose,
    identity,
    images,
    prescription,
    references,
    second,
    setup,
    status,
)

__all__ = [
    "beams",
    "contours",
    "control_points",
    "difference",
    "dose",
    "identity",
    "images",
    "prescription",
    "references",
    "second",
    "setup",
    "status",
]
