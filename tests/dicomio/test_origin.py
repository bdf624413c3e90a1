"""Where a contour comes from survives being written, and what others write is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from appliance.contracts import Identity, SourceObject, Structure
from appliance.contracts.origin import ContourOrigin, Origin
from appliance.dicomio.files import save_durable
from appliance.dicomio.origin import read_origin, write_origin
from appliance.dicomio.structure_set import structure_set_dataset

AT = "2026-11-28T09:15:00Z"
ORIGINS = {
    "MANUAL": ContourOrigin(Origin.EDITED, "Meier^Anna", AT, "received"),
    "SEMIAUTOMATIC": ContourOrigin(Origin.EDITED, "Müller^Jörg", AT, "propagated_deformable"),
    "AUTOMATIC": ContourOrigin(Origin.DERIVED, "", AT, "CTV_6000_Boost + 5/5/5/3/6/6 mm in External - 3 mm"),
}


@pytest.mark.parametrize("algorithm", ORIGINS)
def test_an_origin_is_read_back_from_the_file(
    structures: Sequence[Structure],
    identity: Identity,
    frame_uid: str,
    images: Sequence[SourceObject],
    tmp_path: Path,
    algorithm: str,
) -> None:
    target = replace(structures[1], origin=ORIGINS[algorithm])
    dataset = structure_set_dataset(
        (structures[0], target), identity=identity, frame_of_reference_uid=frame_uid, images=images, label="Today"
    )
    body, written = dcmread(save_durable(dataset, tmp_path / "rs.dcm").path).StructureSetROISequence
    assert written.ROIGenerationAlgorithm == algorithm
    assert len(written.ROIGenerationDescription) <= 64
    assert read_origin(written) == ORIGINS[algorithm]
    assert (body.ROIGenerationAlgorithm, "ROIGenerationDescription" in body) == ("", False)


@pytest.mark.parametrize("kind", [Origin.PROPAGATED_RIGID, Origin.PROPAGATED_DEFORMABLE, Origin.SEGMENTED])
def test_methods_are_automatic(kind: Origin) -> None:
    item = Dataset()
    origin = ContourOrigin(kind, "B-spline", AT, "RS of 2026-11-01")
    write_origin(item, origin)
    assert item.ROIGenerationAlgorithm == "AUTOMATIC" and "ROICreatorSequence" not in item
    assert read_origin(item) == origin


@pytest.mark.parametrize(
    ("algorithm", "description", "known"),
    [
        ("", "", ""),
        ("MANUAL", "", "MANUAL"),
        ("AUTOMATIC", "AutoSeg 2.1; head and neck", "AUTOMATIC: AutoSeg 2.1; head and neck"),
        ("", "edited; by hand", "edited; by hand"),
        ("", "Couchside: painted; ; ", "Couchside: painted; ;"),
    ],
)
def test_what_others_say_stays_as_they_say_it(algorithm: str, description: str, known: str) -> None:
    item, again = Dataset(), Dataset()
    item.ROIGenerationAlgorithm = algorithm
    if description:
        item.ROIGenerationDescription = description
    origin = read_origin(item)
    assert origin == ContourOrigin(Origin.RECEIVED, from_=known)
    write_origin(again, origin)
    assert again.ROIGenerationAlgorithm == algorithm
    assert again.get("ROIGenerationDescription", "") == description.strip()
    assert read_origin(again) == origin


def test_a_local_time_is_no_utc() -> None:
    item = Dataset()
    item.ROIDateTime = "20261128101500"
    assert read_origin(item).at_utc == ""
    item.ROIDateTime = "20261128101500+0100"
    assert read_origin(item).at_utc == AT
