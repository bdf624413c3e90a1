"""Packed OpenKBP patients: a lopsided one made here, and a real one where the data are at hand."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
from scipy import ndimage

from appliance.builtin import import_openkbp
from appliance.case import assemble
from appliance.case.dose import read_dose
from appliance.case.image import read_image
from appliance.case.structure_set import read_structures
from appliance.contracts import StructureKind
from appliance.errors import RefusedInput, RefusedObject
from appliance.inbound import assess, read_folder

SHARED = Path(__file__).parents[3] / "shared" / "openkbp" / "train" / "pt_34.npz"
SHAPE = (14, 20, 11)  # posterior, left, inferior

# bit -> TG-263 name, written out again from the data set's description
NAMES = {
    1: "Brainstem",
    2: "SpinalCord",
    3: "Parotid_R",
    4: "Parotid_L",
    5: "Esophagus",
    6: "Larynx",
    7: "Bone_Mandible",
    8: "PTV_5600",
    9: "PTV_6300",
    10: "PTV_7000",
}


def packed(**changes):
    """A body of 10 x 16 voxels on every slice with an air cavity, a couch behind it, and a brighter front."""
    ct = np.zeros(SHAPE, np.uint16)
    ct[1:11, 2:18, :] = 1000
    ct[1:3, 2:18, :] = 1100
    ct[5:7, 8:10, 2:9] = 0
    ct[13, :, :] = 900
    label = np.zeros(SHAPE, np.uint16)
    label[2:10, 3:17, :] |= 1
    for bit in NAMES:
        label[3 : 3 + bit % 4 + 1, bit : bit + 3, 1:bit] |= 1 << bit
    dose = np.zeros(SHAPE, np.uint16)
    dose[1:11, 2:18, :] = np.arange(10 * 16 * 11).reshape(10, 16, 11) * 4
    arrays = {
        "ct": ct,
        "label": label,
        "dose": dose,
        "offset": np.array([29, 4, 1], np.int16),
        "voxel_dimensions": np.array([3.906, 3.5, 2.5], np.float32),
    } | changes
    return {key: value for key, value in arrays.items() if value is not None}


def saved(folder, **changes):
    path = folder / "pt_7.npz"
    np.savez(path, **packed(**changes))
    return path


def lps(array):
    return array.transpose(2, 0, 1)[::-1]


def body_of(ct):
    parts, _ = ndimage.label(ct > 0)
    largest = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])
    return np.stack([ndimage.binary_fill_holes(largest[..., k]) for k in range(ct.shape[2])], axis=-1)


def check_against_arrays(arrays, written):
    """Voxels, HU, dose and place of a written study against the packed arrays, converted here a second time."""
    series = read_image([source.path for source in written if source.modality == "CT"])
    grid = series.image.grid
    posterior, left, inferior = (float(step) for step in arrays["voxel_dimensions"])
    assert np.allclose(grid.spacing_mm, (left, posterior, inferior), atol=1e-3)
    assert np.array_equal(series.image.hu, lps(arrays["ct"]).astype(int) - 1000)
    structure_set = next(source for source in written if source.modality == "RTSTRUCT")
    structures = {s.tg263: s for s in read_structures(structure_set.path, series).structures}
    masks = {name: (arrays["label"] >> bit) & 1 for bit, name in NAMES.items()}
    masks = {name: mask.astype(bool) for name, mask in masks.items() if mask.any()}
    masks["External"] = body_of(arrays["ct"])
    assert set(structures) == set(masks)
    for name, mask in masks.items():
        voxels = structures[name].voxels
        assert np.array_equal(voxels.mask(grid.shape), lps(mask)), name
        # contour points are written to 0.0001 mm: 1e-4 of a voxel of 2.5 mm along each side
        assert voxels.volume_cc(grid.voxel_volume_cc) == pytest.approx(mask.sum() * grid.voxel_volume_cc, rel=1e-4)
    assert structures["External"].kind is StructureKind.EXTERNAL
    doses = [source for source in written if source.modality == "RTDOSE"]
    assert len(doses) == ("dose" in arrays)
    for source in doses:
        dose_grid, dose_gy = read_dose(source.path)
        assert dose_grid.same_as(grid)
        highest = arrays["dose"].max() * 0.01
        assert np.abs(dose_gy - lps(arrays["dose"]) * 0.01).max() <= 0.51 * highest / 65535 + 1e-5


def test_every_voxel_of_a_made_patient_comes_back(tmp_path):
    written = import_openkbp(saved(tmp_path), tmp_path / "study")
    check_against_arrays(packed(), written)
    assert [source.modality for source in written] == ["CT"] * 11 + ["RTSTRUCT", "RTDOSE"]
    dataset = pydicom.dcmread(written[-1].path)
    assert (dataset.PatientID, str(dataset.PatientName)) == ("OPENKBP-7", "OpenKBP^7")


def test_axes_and_place(tmp_path):
    """The voxel first along posterior, left and inferior is the most anterior, right and superior one."""
    ct = packed()["ct"]
    ct[1, 2, 0] = 2000
    written = import_openkbp(saved(tmp_path, ct=ct), tmp_path / "study")
    image = read_image([source.path for source in written if source.modality == "CT"]).image
    z, y, x = np.argwhere(image.hu == 1000)[0]
    assert (z, y, x) == (SHAPE[2] - 1, 1, 2)
    x_mm, y_mm, z_mm = image.grid.axes_mm()
    # index (1, 2, 0) of a crop at (29, 4, 1) in a grid of 128 whose middle, 63.5, is the origin
    assert x_mm[x] == pytest.approx((4 + 2 - 63.5) * 3.5, abs=1e-3)
    assert y_mm[y] == pytest.approx((29 + 1 - 63.5) * 3.906, abs=1e-3)
    assert z_mm[z] == pytest.approx(-(1 + 0 - 63.5) * 2.5, abs=1e-3)


def test_without_dose_there_is_no_dose_object_and_the_case_is_complete(tmp_path):
    written = import_openkbp(saved(tmp_path, dose=None), tmp_path / "study")
    assert [source.modality for source in written] == ["CT"] * 11 + ["RTSTRUCT"]
    completeness = assess(read_folder(tmp_path / "study"))
    assert completeness.complete
    assert len(completeness.chosen) == 12


def test_the_dose_without_a_plan_reaches_the_case(tmp_path):
    """What was imported comes through acceptance, completeness and assembly, its dose on the grid of the image."""
    written = import_openkbp(saved(tmp_path), tmp_path / "study")
    completeness = assess(read_folder(tmp_path / "study"))
    assert (completeness.complete, completeness.notes) == (True, ())
    assert completeness.chosen[-1].sop_instance_uid == written[-1].sop_instance_uid
    case = assemble(completeness.chosen)
    assert (case.reference_plan, case.prescription, case.fractions) == (None, (), 0)
    assert case.reference_dose_object is not None and case.reference_dose_gy is not None
    _, dose_gy = read_dose(written[-1].path)
    assert np.allclose(case.reference_dose_gy, dose_gy, rtol=0, atol=1e-4)


def test_a_seed_makes_the_same_bytes(tmp_path):
    npz = saved(tmp_path)
    first, second = (import_openkbp(npz, tmp_path / name, uid_seed="s") for name in "ab")
    assert [source.sha256 for source in first] == [source.sha256 for source in second]


BAD = {
    "no-ct": {"ct": None},
    "missing-array": {"label": None},
    "missing-array ": {"offset": None},
    "array-shape": {"dose": np.zeros((14, 20, 10), np.uint16)},
    "array-shape ": {"label": np.zeros(14, np.uint16)},
    "array-shape  ": {"offset": np.array([120, 4, 1], np.int16)},
    "array-kind": {"ct": np.ones(SHAPE, np.float32)},
    "array-kind ": {"voxel_dimensions": np.ones(2, np.float32)},
    "value-range": {"ct": np.full(SHAPE, 5000, np.uint16)},
    "voxel-size": {"voxel_dimensions": np.array([3.9, -3.9, 2.5], np.float32)},
    "voxel-size ": {"voxel_dimensions": np.array([3.9, np.nan, 2.5], np.float32)},
    "no-body": {"ct": np.zeros(SHAPE, np.uint16)},
    "no-structures": {"label": np.ones(SHAPE, np.uint16)},
    "unreadable": {"ct": np.array([{}], object)},
}


@pytest.mark.parametrize("rule", list(BAD))
def test_bad_arrays_are_refused_and_nothing_is_written(tmp_path, rule):
    with pytest.raises(RefusedObject) as refusal:
        import_openkbp(saved(tmp_path, **BAD[rule]), tmp_path / "study")
    assert refusal.value.fields["rule"] == rule.strip()
    assert not (tmp_path / "study").exists()
    if rule == "no-ct":
        assert "holds no CT" in str(refusal.value)


def test_files_that_are_no_archives_are_refused(tmp_path):
    good = saved(tmp_path).read_bytes()
    for content in (b"", b"not an archive", good[: len(good) // 2], good[:200] + b"\xff" * 64 + good[264:]):
        (tmp_path / "bad.npz").write_bytes(content)
        with pytest.raises(RefusedObject) as refusal:
            import_openkbp(tmp_path / "bad.npz", tmp_path / "study")
        assert refusal.value.fields["rule"] == "unreadable"
    with pytest.raises(RefusedObject, match="cannot be read"):
        import_openkbp(tmp_path / "absent.npz", tmp_path / "study")
    np.save(tmp_path / "plain.npy", np.zeros(3))
    with pytest.raises(RefusedObject):
        import_openkbp(tmp_path / "plain.npy", tmp_path / "study")


def test_a_used_folder_is_refused(tmp_path):
    with pytest.raises(RefusedInput, match="not an empty folder"):
        import_openkbp(saved(tmp_path), tmp_path)


@pytest.fixture(scope="module")
def real_patient(tmp_path_factory):
    if not SHARED.exists():
        pytest.skip("the OpenKBP data are not beside the repository")
    return import_openkbp(SHARED, tmp_path_factory.mktemp("openkbp") / "34")


def test_every_voxel_of_a_real_patient_comes_back(real_patient):
    with np.load(SHARED) as archive:
        check_against_arrays({key: archive[key] for key in archive.files}, real_patient)
    assert pydicom.dcmread(real_patient[-1].path).PatientID == "OPENKBP-34"


@pytest.mark.peer
@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is not installed")
def test_dicom3tools_finds_no_error(tmp_path):
    written = import_openkbp(saved(tmp_path), tmp_path / "study")
    for source in (written[0], *written[-2:]):
        done = subprocess.run(["dciodvfy", str(source.path)], capture_output=True, text=True, check=False)
        assert [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")] == []
