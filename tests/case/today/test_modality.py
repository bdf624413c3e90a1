import numpy as np
import pytest
from pydicom.uid import MRImageStorage

from appliance.case.scanner import Scanner
from appliance.case.today.modality import Imaging, imaging_of, read_day
from appliance.errors import InconsistentCase, RefusedObject

TREATMENT_MACHINES = (
    Scanner(manufacturer="Varian Medical Systems", model="On-Board Imager"),
    Scanner(manufacturer="Varian Medical Systems", model="Halcyon"),
    Scanner(manufacturer="Varian Medical Systems", model="ETHOS"),
    Scanner(manufacturer="ELEKTA", model="XVI"),
    Scanner(manufacturer="Elekta Limited"),
    Scanner(manufacturer="", model="XVI v5.52"),
    Scanner(manufacturer="Accuray"),
    Scanner(manufacturer="SIEMENS", series_description="MVCBCT pelvis"),
    Scanner(manufacturer="Somebody", scan_options="HALF FAN"),
    Scanner(manufacturer="Somebody", series_description="Cone-Beam CT fraction 3"),
)


@pytest.mark.parametrize("scanner", TREATMENT_MACHINES, ids=lambda scanner: f"{scanner.manufacturer} {scanner.model}")
def test_an_image_of_a_treatment_machine_is_told_by_its_device(scanner):
    imaging, told_by = imaging_of("CT", scanner)
    assert imaging is Imaging.CBCT
    assert told_by.startswith("It is an image of a treatment machine: its")


@pytest.mark.parametrize(
    "scanner",
    [
        Scanner(),
        Scanner(manufacturer="SIEMENS", model="SOMATOM Confidence", scan_options="HELICAL MODE"),
        Scanner(manufacturer="GE MEDICAL SYSTEMS", model="Discovery RT", series_description="obituary of a robin"),
        Scanner(manufacturer="Philips", model="Brilliance Big Bore", station="CT1"),
        Scanner(manufacturer="Canon", series_description="neck 2 mm, maxvia"),
    ],
)
def test_any_other_ct_is_a_ct(scanner):
    """Parts of words count for nothing: 'obituary' holds 'obi' and 'maxvia' nearly 'xvi'."""
    assert imaging_of("CT", scanner)[0] is Imaging.CT


def test_the_clinics_own_machine_is_named_in_the_configuration():
    scanner = Scanner(manufacturer="Somebody", station="LINAC_4")
    assert imaging_of("CT", scanner)[0] is Imaging.CT
    assert imaging_of("CT", scanner, ("linac 4",)) == (
        Imaging.CBCT,
        "It is an image of a treatment machine: its device is described by 'linac 4'",
    )


def each(study, kit, change):
    for path in study.paths:
        kit.altered(path, change)


def test_a_ct_is_read_in_hounsfield_units(study, kit):
    day = read_day(study.paths)
    assert (day.imaging, day.series.image.modality) == (Imaging.CT, "CT")
    np.testing.assert_array_equal(day.series.image.hu, kit.body_hu())


def test_a_cone_beam_ct_that_does_not_claim_hounsfield_units_is_read_as_it_is(study, kit):
    """Values below -1024 and all above 700: no Hounsfield units, and nobody says so."""

    def raw(dataset):
        dataset.Manufacturer = "ELEKTA"
        dataset.RescaleType = "US"
        dataset.PixelData = (dataset.pixel_array + 3000).astype(np.int16).tobytes()
        dataset.RescaleIntercept = -100

    each(study, kit, raw)
    day = read_day(study.paths)
    assert (day.imaging, day.series.image.modality) == (Imaging.CBCT, "CBCT")
    assert day.series.scanner.manufacturer == "ELEKTA"
    np.testing.assert_array_equal(day.series.image.hu, kit.body_hu() + 2900)


def test_a_cone_beam_ct_without_rescale_is_read_as_stored(study, kit):
    def raw(dataset):
        dataset.ManufacturerModelName = "On-Board Imager"
        del dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType

    each(study, kit, raw)
    np.testing.assert_array_equal(read_day(study.paths).series.image.hu, kit.body_hu())


def test_the_same_values_are_refused_of_a_ct(study, kit):
    each(study, kit, lambda dataset: setattr(dataset, "RescaleType", "US"))
    with pytest.raises(RefusedObject, match="not Hounsfield units"):
        read_day(study.paths)


def test_an_mr_is_read_as_it_is(study, kit):
    def mr(dataset):
        dataset.SOPClassUID = MRImageStorage
        dataset.file_meta.MediaStorageSOPClassUID = MRImageStorage
        dataset.Modality = "MR"
        dataset.PixelData = np.maximum(dataset.pixel_array, 0).astype(np.int16).tobytes()

    each(study, kit, mr)
    day = read_day(study.paths)
    assert (day.imaging, day.series.image.modality) == (Imaging.MR, "MR")
    assert day.series.image.hu.min() == 0


@pytest.mark.parametrize("uid, name", [("1.2.840.10008.5.1.4.1.1.2.1", "CT"), ("1.2.840.10008.5.1.4.1.1.4.1", "MR")])
def test_a_multi_frame_object_is_refused_by_name_with_the_remedy(study, kit, uid, name):
    kit.altered(study.paths[0], lambda dataset: setattr(dataset, "SOPClassUID", uid))
    with pytest.raises(RefusedObject) as refusal:
        read_day(study.paths[:1])
    assert refusal.value.fields["rule"] == "image.multi-frame"
    assert f"it is an Enhanced {name} object with all slices in one" in str(refusal.value)
    assert f"Send it as a series of {name} Image Storage slices" in str(refusal.value)


def test_missing_slices_are_named(study):
    with pytest.raises(InconsistentCase, match="planes are missing above z") as refusal:
        read_day([*study.paths[:4], *study.paths[5:]])
    assert refusal.value.fields["rule"] == "slices.missing"


def test_no_slices_at_all():
    with pytest.raises(InconsistentCase, match="it has no slices"):
        read_day([])
