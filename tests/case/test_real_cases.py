"""Cases as they arrive: a built-in phantom, whose volumes are known, and real patients where they are to be had."""

import hashlib
from pathlib import Path

import numpy as np
import pydicom
import pytest

from appliance.builtin import import_openkbp, write_study
from appliance.case import assemble
from appliance.contracts import Received

OPENKBP = Path(__file__).parents[3] / "shared" / "openkbp"
LABELS = {1: "Brainstem", 2: "SpinalCord", 3: "Parotid_R", 4: "Parotid_L", 5: "Esophagus", 6: "Larynx"} | {
    7: "Bone_Mandible",
    8: "PTV_5600",
    9: "PTV_6300",
    10: "PTV_7000",
}


def received(folder):
    items = []
    for path in sorted(folder.glob("*.dcm")):
        header = pydicom.dcmread(path, stop_before_pixels=True)
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        series = header.SeriesInstanceUID
        items.append(Received(header.SOPClassUID, header.SOPInstanceUID, header.Modality, series, "", "", path, sha256))
    return items


def volumes_cc(case):
    return {item.tg263: item.voxels.volume_cc(case.image.grid.voxel_volume_cc) for item in case.structures}


def test_c_shape_has_the_volumes_of_its_drawing(tmp_path):
    write_study("c-shape", tmp_path / "study", day="reference")
    case = assemble(received(tmp_path / "study"))
    assert case.notes == ()
    assert volumes_cc(case)["Core"] == pytest.approx(np.pi * 10**2 * 100 / 1000, rel=0.03)
    # an annulus of 15 to 37 mm radius, 80 mm long, less its posterior opening
    assert volumes_cc(case)["PTV"] < np.pi * (37**2 - 15**2) * 80 / 1000


@pytest.mark.parametrize("patient", ["34", "51"])
def test_openkbp_patients_come_back_as_they_were_labelled(tmp_path, patient):
    packed = OPENKBP / "train" / f"pt_{patient}.npz"
    if not packed.is_file():
        pytest.skip("the OpenKBP patients are not beside the repository")
    import_openkbp(packed, tmp_path / "study")
    case = assemble(received(tmp_path / "study"))
    with np.load(packed) as arrays:
        labels = arrays["label"]
        voxel_cc = float(np.prod(arrays["voxel_dimensions"])) / 1000
        hottest_gy = float(arrays["dose"].max()) / 100
    read = volumes_cc(case)
    for bit, name in LABELS.items():
        labelled = np.count_nonzero(labels & (1 << bit)) * voxel_cc
        if labelled:
            assert read[name] == pytest.approx(labelled, rel=0.02), name
        else:
            assert name not in read
    assert case.reference_dose_gy.max() == pytest.approx(hottest_gy, rel=1e-3)
