import pytest

from appliance.case.nomenclature import kind_of, known_names, lookup
from appliance.contracts import StructureKind


@pytest.mark.parametrize(
    ("name", "tg263"),
    [
        ("External", "External"),
        ("BODY", "External"),
        ("Body", "External"),
        ("RightParotid", "Parotid_R"),
        ("LeftParotid", "Parotid_L"),
        ("parotid_left", "Parotid_L"),
        ("Mandible", "Bone_Mandible"),
        ("spinal cord", "SpinalCord"),
        ("SPINAL-CORD", "SpinalCord"),
        ("Oesophagus", "Esophagus"),
        ("Brain stem", "Brainstem"),
        ("PTV", "PTV"),
        ("PTV70", "PTV_7000"),
        ("PTV 63 Gy", "PTV_6300"),
        ("ptv_5600", "PTV_5600"),
        ("CTV-54.12", "CTV_5412"),
        ("PTV_Central", "PTV_Central"),
    ],
)
def test_names_as_they_come(name, tg263):
    assert lookup(name).tg263 == tg263


@pytest.mark.parametrize("name", ["", "Tumour bed", "PTV 12", "PTV_Ring", "PTV 7000 Gy", "PTV95", "Parotid", "PTV1"])
def test_names_that_are_left_as_they_are(name):
    assert lookup(name) is None


def test_left_and_right_are_never_mapped_to_each_other():
    for folded, known in known_names().items():
        if known.tg263.endswith(("_L", "_R")):
            assert ("left" in folded) <= known.tg263.endswith("_L")
            assert ("right" in folded) <= known.tg263.endswith("_R")


@pytest.mark.parametrize(
    ("name", "interpreted", "kind"),
    [
        ("anything", "EXTERNAL", StructureKind.EXTERNAL),
        ("anything", "PTV", StructureKind.TARGET),
        ("ITV lung", "TREATED_VOLUME", StructureKind.TARGET),
        ("PTV_7000", "", StructureKind.TARGET),
        ("PTV boost", "ORGAN", StructureKind.TARGET),
        ("PTV_Ring", "CONTROL", StructureKind.OTHER),
        ("PTVision", "", StructureKind.OTHER),
        ("GTVn", "", StructureKind.TARGET),
        ("CTVp_Lung", "", StructureKind.TARGET),
        ("Body", "", StructureKind.EXTERNAL),
        ("Heart", "", StructureKind.ORGAN),
        ("Thing", "ORGAN", StructureKind.ORGAN),
        ("Thing", "", StructureKind.OTHER),
        ("Couch", "", StructureKind.SUPPORT),
        ("Rail", "SUPPORT", StructureKind.SUPPORT),
        ("Bolus 5mm", "BOLUS", StructureKind.OTHER),
        ("Isocentre", "ISOCENTER", StructureKind.OTHER),
    ],
)
def test_type_first_then_name(name, interpreted, kind):
    assert kind_of(name, interpreted) is kind
