"""The second, independent dose as an RTDOSE beside the exported ones. It is kept, not sent: a receiver that finds two
doses of one plan may take the wrong one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import RTPlanStorage

from appliance.contracts import SECOND_DOSE_FILE, CalculatedDose, Case, ExportSet, SourceObject
from appliance.dicomio.files import save_durable
from appliance.dicomio.values import LONG_STRING, clipped
from appliance.errors import ReadBackMismatch, RefusedInput
from appliance.export.read_back_dose import compare_dose
from appliance.export.writing import dataset_of_dose, require_calculated
from engines.grid import Grid


def write_second_dose(
    case: Case,
    second: CalculatedDose,
    export_set: ExportSet,
    *,
    read_dose: Callable[[Path], tuple[Grid, NDArray[np.floating]]],
) -> Path:
    """Writes `second` as SECOND_DOSE_FILE into the folder of the set, of the set's plan, and reads it back.

    Raises ExportError, ReadBackMismatch, DiskFull, WriteFailed."""
    require_calculated(second)
    uid, sha256 = export_set.sop_instance_uids[0], export_set.sha256[0]
    plan = SourceObject(str(RTPlanStorage), uid, "", "RTPLAN", export_set.plan, sha256)
    dataset = dataset_of_dose(case, second, second.dose_gy, plan)
    dataset.SeriesDescription = clipped(f"Second calculation, {second.algorithm}", LONG_STRING)
    path = save_durable(dataset, export_set.plan.parent / SECOND_DOSE_FILE).path
    try:
        grid, read_gy = read_dose(path)
    except RefusedInput as error:
        raise ReadBackMismatch(f"{path.name} could not be read: {error}") from error
    compare_dose("second dose", grid, read_gy, second.grid, second.dose_gy)
    return path
