"""How the table must move, as a therapist dials it: a registration in IEC 61217 table top coordinates."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from appliance.contracts.anatomy import TableShift
from appliance.errors import InconsistentCase
from engines.registration import RigidTransform

LPS_OF_TABLE = {
    "HFS": ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, -1.0, 0.0)),
    "HFP": ((-1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, 1.0, 0.0)),
    "FFS": ((-1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, -1.0, 0.0)),
    "FFP": ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0)),
}
"""LPS directions of the table top's X (to the right of somebody facing the gantry), Y (towards the gantry) and Z (up)
axes for a patient in this position (IEC 61217 3.7 with the table at 0 degrees; PS3.3 C.7.3.1.1.2): a supine patient
with the head at the gantry has the left side at +X, the head at +Y and the chest at +Z."""


def table_shift(
    to_reference: RigidTransform,
    isocentre_mm: tuple[float, float, float],
    patient_position: str,
    today_isocentre_mm: tuple[float, float, float] | None = None,
) -> TableShift:
    """What brings the anatomy that lies at the plan's isocentre to the machine's.

    to_reference: today's points to the reference's. isocentre_mm: of the plan, in the reference's frame.
    today_isocentre_mm: the machine's isocentre in today's frame, where the image was taken; None: at the plan's own
    coordinates, as for an image whose origin was set up on the same marks. The patient is turned about the isocentre as
    the registration turns today to the reference, and shifted by machine less anatomy. Raises InconsistentCase
    `case.patient-position` for an unknown position."""
    if patient_position not in LPS_OF_TABLE:
        raise InconsistentCase(
            f"the patient position '{patient_position}' is not known",
            what="Today's image",
            remedy="Send images that state HFS, HFP, FFS or FFP",
            rule="case.patient-position",
        )
    table = np.asarray(LPS_OF_TABLE[patient_position])
    anatomy_mm = to_reference.inverse.apply(np.asarray(isocentre_mm))
    machine_mm = np.asarray(isocentre_mm if today_isocentre_mm is None else today_isocentre_mm)
    lateral, longitudinal, vertical = (table @ (machine_mm - anatomy_mm)).tolist()
    turn = table @ to_reference.matrix[:3, :3] @ table.T
    yaw, pitch, roll = Rotation.from_matrix(turn).as_euler("ZXY", degrees=True).tolist()
    return TableShift(lateral, longitudinal, vertical, pitch, roll, yaw)
