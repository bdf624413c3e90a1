"""Organs that a network draws today in the place of propagation, and when they are propagated all the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from appliance.case.today.contours import contours_today
from appliance.case.today.reading import Day, Reference
from appliance.case.today.registering import registered
from appliance.case.today.seen import seen_region
from appliance.config import AnatomyConfig
from appliance.contracts.origin import Origin
from appliance.errors import EvaluationError
from engines.grid import VoxelSet
from engines.overlap import dice

CONFIG = AnatomyConfig(segmented=("Parotid_L",))
SEEN_MM = (36, -14, 16), (64, 14, 54)


class Network:
    """Sees `found` as Parotid_L; keeps the image it was asked about."""

    name = "net@12345678"

    def __init__(self, found: np.ndarray | None, refused: str = "") -> None:
        self.found, self.refused, self.asked = found, refused, []

    def __call__(self, image, external):
        self.asked.append(image)
        if self.refused:
            raise EvaluationError(self.refused)
        return {} if self.found is None else {"Parotid_L": VoxelSet.from_dense(self.found.astype(np.float32))}


@pytest.fixture(scope="module")
def days(day_kit):
    """Today like the reference, the reference, how they lie, and what today's image shows."""
    known, image = day_kit.reference, day_kit.today()
    external = known.structures.structures[0]
    before = Reference(known.series, known.series.image.hu, known.structures.structures, external, True, known)
    today = Day(image.series, image.series.image.hu, (), external, False)
    found = registered(today, before, lambda *_: None, is_deformable=False)
    return today, before, found, seen_region(known, image, found.field)


@pytest.fixture
def drawn(days):
    """Today's contours with a network; `modality` of its image."""

    def made(network: Network, modality: str = "CT"):
        today, *others = days
        series = replace(today.series, image=replace(today.series.image, modality=modality))
        shown = replace(today, series=series)
        day = contours_today(shown, *others, config=CONFIG, segmenter=network)
        return {item.tg263: item for item in day.structures}, day.notes

    return made


def test_a_named_organ_is_the_network_s_and_the_others_are_carried(day_kit, drawn):
    seen = day_kit.box(*SEEN_MM)
    made, _ = drawn(Network(seen))
    assert made["Parotid_L"].origin.kind is Origin.SEGMENTED and made["Parotid_L"].origin.by == "net@12345678"
    body = made["External"].voxels.mask(day_kit.grid.shape)
    assert dice(made["Parotid_L"].voxels.mask(day_kit.grid.shape), seen & body) == 1.0
    assert made["SpinalCord"].origin.kind is Origin.PROPAGATED_RIGID


@pytest.mark.parametrize(
    ("network", "words"),
    [(Network(None), "Parotid_L was propagated: the network net@12345678 finds none"),
     (Network(None, "it is broken"), "Nothing was segmented, and all organs were propagated: it is broken")],
)  # fmt: skip
def test_what_the_network_does_not_draw_is_carried_and_said(drawn, network, words):
    made, notes = drawn(network)
    assert made["Parotid_L"].origin.kind is Origin.PROPAGATED_RIGID
    assert words in notes


@pytest.mark.parametrize(("modality", "asked"), [("CT", "CT"), ("CBCT", "CT"), ("MR", "MR")])
def test_only_an_image_near_hounsfield_units_is_called_a_ct(drawn, modality, asked):
    network = Network(None)
    drawn(network, modality)
    assert [image.modality for image in network.asked] == [asked]
