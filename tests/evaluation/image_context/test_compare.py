"""What a network sees against what is contoured, on glands drawn by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydantic import TypeAdapter

from appliance.contracts import Image, Outcome
from appliance.contracts.image_context import ImageContext
from appliance.errors import EvaluationError, ModelError
from appliance.evaluation.image_context import image_context, load_network, segment_case

from .conftest import GRID, LEFT, NAMES, RIGHT


def finding(made, key):
    return next(one for one in made.findings if one.id == f"image.{key}")


def organ(made, name):
    return next(one for one in made.organs if one.structure == name)


def moved(block, *, x=0, z=0):
    return slice(block[0].start + z, block[0].stop + z), block[1], slice(block[2].start + x, block[2].stop + x)


def test_masks_lie_where_the_glands_are(patient, network):
    found = segment_case(patient(), network, threads=1)
    for name, block in (("Parotid_L", LEFT), ("Parotid_R", RIGHT)):
        wanted = np.zeros(GRID.shape, bool)
        wanted[block] = True
        assert np.array_equal(found[name].mask(GRID.shape), wanted)
    assert found["SpinalCord"].empty


def test_contours_that_agree_pass(patient, network):
    made = image_context(patient(Parotid_L=LEFT, Parotid_R=RIGHT), network, threads=1)
    left = organ(made, "Parotid_L")
    # 8 x 10 x 10 voxels of 12 mm3
    assert (left.dice, left.distance_95_mm) == (1.0, 0.0)
    assert left.segmented_cc == pytest.approx(9.6) and left.contoured_cc == pytest.approx(9.6)
    assert all(one.outcome is Outcome.PASSED for one in made.findings)
    assert (made.network, made.sha256) == ("tiny", network.sha256)
    adapter = TypeAdapter(ImageContext)
    assert adapter.validate_json(adapter.dump_json(made)) == made


def test_a_contour_that_lies_elsewhere_warns(patient, network):
    """Moved by 6 of 10 voxels along x: 4 of 10 shared, Dice 0.4; its face is 12 mm away."""
    made = image_context(patient(Parotid_L=moved(LEFT, x=6), Parotid_R=RIGHT), network, threads=1)
    assert organ(made, "Parotid_L").dice == pytest.approx(0.4)
    assert organ(made, "Parotid_L").distance_95_mm == pytest.approx(12.0)
    found = finding(made, "agreement")
    assert found.warns and "Parotid_L Dice 0.40, 95 % distance 12.0 mm" in found.evidence
    assert "Parotid_R" not in found.evidence and "author's choice" in found.source


def test_an_organ_without_a_contour_is_named(patient, network):
    made = image_context(patient(Parotid_L=LEFT), network, threads=1)
    found = finding(made, "missing")
    assert found.outcome is Outcome.FOUND and found.evidence == "Parotid_R 9.6 cc"
    assert organ(made, "Parotid_R").contoured_cc is None


def test_a_contour_where_the_network_sees_nothing_is_named(patient, network):
    cord = (slice(0, 20), slice(30, 34), slice(28, 32))
    made = image_context(patient(Parotid_L=LEFT, Parotid_R=RIGHT, SpinalCord=cord), network, threads=1)
    assert "SpinalCord (3.8 cc contoured)" in finding(made, "unseen").evidence
    assert finding(made, "agreement").outcome is Outcome.PASSED


def test_swapped_sides_stop(patient, network):
    made = image_context(patient(Parotid_L=RIGHT, Parotid_R=LEFT), network, threads=1)
    found = finding(made, "sides")
    assert found.stops
    assert "Parotid_L is drawn where the network sees Parotid_R (Dice 1.00, own side 0.00)" in found.evidence
    one = image_context(patient(Parotid_L=moved(RIGHT, x=1)), network, threads=1)
    assert finding(one, "sides").stops


def test_an_organ_whose_contours_may_end_is_judged_between_them(patient, write):
    """Only 2 of the gland's 8 slices are drawn: Dice 2 2 / (2 + 8) = 0.4, but 1 within them."""
    some = (slice(8, 10), *LEFT[1:])
    whole = image_context(patient(Parotid_L=some), load_network(write(), NAMES), threads=1)
    assert organ(whole, "Parotid_L").dice == pytest.approx(0.4)
    path = write(('name = "Parotid_L"\n', 'name = "Parotid_L"\npartial = true\n'))
    cut = image_context(patient(Parotid_L=some), load_network(path, NAMES), threads=1)
    assert organ(cut, "Parotid_L").dice == 1.0 and organ(cut, "Parotid_L").within_slices


def test_the_file_may_ask_for_more_agreement(patient, write):
    near = {"Parotid_L": moved(LEFT, x=1), "Parotid_R": RIGHT}
    assert finding(image_context(patient(**near), load_network(write(), NAMES)), "agreement").outcome is Outcome.PASSED
    strict = write(("[[label]]\nchannel = 1", "[agreement]\ndice_least = 0.95\n\n[[label]]\nchannel = 1"))
    assert finding(image_context(patient(**near), load_network(strict, NAMES)), "agreement").warns


def test_without_a_network_or_with_one_for_other_images_nothing_is_claimed(patient, network):
    assert all(one.outcome is Outcome.NOT_TESTED for one in image_context(patient(), None).findings)
    case = patient(Parotid_L=LEFT)
    magnetic = replace(case, image=replace(case.image, modality="MR"))
    coarse = replace(case, image=Image(replace(GRID, spacing_mm=(2.0, 2.0, 8.0)), case.image.hu))
    for other, words in ((magnetic, "made for CT and the image is MR"), (coarse, "spacing of 8 mm")):
        made = image_context(other, network)
        assert all(one.outcome is Outcome.NOT_TESTED and words in one.evidence for one in made.findings)
        with pytest.raises(EvaluationError, match=words):
            segment_case(other, network)


def test_weights_that_change_after_they_were_loaded_are_refused(patient, network):
    weights = network.registry.path(network.name)
    weights.write_bytes(weights.read_bytes() + b" ")
    with pytest.raises(ModelError, match="SHA-256 differs"):
        image_context(patient(), network)
