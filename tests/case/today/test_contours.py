"""Today's contours: received as they are, or carried, with the External seen on today's image and its number kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from appliance.case.external import derive_external
from appliance.case.today.contours import RECEIVED, contours_today, rules_of
from appliance.case.today.reading import EXTERNAL_NUMBER, Day, Reference
from appliance.case.today.registering import Registered
from appliance.case.today.seen import seen_region
from appliance.config import AnatomyConfig
from appliance.contracts import Image, Structure, StructureKind
from appliance.contracts.origin import Origin
from appliance.errors import InconsistentCase
from engines.grid import Margins
from engines.registration import DisplacementField, RigidTransform, Scan

from .conftest import GRID, Kit

METHOD = "demons"
STILL = (0.0, 0.0, 0.0)
Vector = tuple[float, float, float]


def before(kit: Kit) -> Reference:
    known = kit.reference
    structures = known.structures.structures
    return Reference(known.series, known.series.image.hu, structures, structures[0], True, known)


def registered(field_mm: Vector = STILL, rigid_mm: Vector = STILL, method: str = METHOD) -> Registered:
    scan = Scan(np.zeros(GRID.shape, np.float32), GRID, np.ones(GRID.shape, np.bool_))
    field = DisplacementField.of_rigid(RigidTransform.of(field_mm), GRID)
    return Registered(RigidTransform.of(rigid_mm), field, method, (scan, scan))


def made(
    kit: Kit, found: Registered, config: AnatomyConfig, reference: Reference | None = None, day: Day | None = None
) -> tuple[dict[str, Structure], tuple[str, ...]]:
    """(by TG-263 name, notes) of a day whose image is the reference's."""
    image = kit.today()
    hu = image.series.image.hu
    today = day or Day(image.series, hu, (), derive_external(Image(GRID, hu), EXTERNAL_NUMBER), False)
    still = DisplacementField.of_rigid(RigidTransform.of(STILL), GRID)
    seen = seen_region(kit.reference, image, still)
    drawn = contours_today(today, reference or before(kit), found, seen, config=config)
    assert len({one.number for one in drawn.structures}) == len(drawn.structures)
    return {one.tg263: one for one in drawn.structures}, drawn.notes


def shares(structure: Structure) -> np.ndarray:
    return structure.voxels.dense(GRID.shape)


def test_received_contours_stay_as_they_are(day_kit):
    drawn = day_kit.reference.structures.structures
    today = day_kit.today()
    day = Day(today.series, today.series.image.hu, drawn, drawn[0], True)
    found, notes = made(day_kit, registered((8.0, 0.0, 0.0)), AnatomyConfig(), day=day)
    assert notes == (RECEIVED,)
    for one in drawn:
        np.testing.assert_array_equal(shares(found[one.tg263]), shares(one))


def test_contours_are_carried_by_the_field_and_say_so(day_kit):
    """Today's points lie 4 mm to the right of the reference's: everything is a voxel further to the left side."""
    found, notes = made(day_kit, registered((-4.0, 0.0, 0.0)), AnatomyConfig())
    drawn = {one.tg263: one for one in before(day_kit).structures}
    assert set(found) == set(drawn)
    np.testing.assert_allclose(shares(found["PTV_7000"]), np.roll(shares(drawn["PTV_7000"]), 1, axis=2), atol=1e-5)
    for name in ("PTV_7000", "Parotid_L", "SpinalCord"):
        origin = found[name].origin
        assert origin is not None
        assert (origin.kind, origin.by) == (Origin.PROPAGATED_DEFORMABLE, METHOD)
        assert origin.at_utc.endswith("Z")
        assert found[name].number == drawn[name].number
    assert notes == ("SpinalCord reaches the end of today's image and may go on beyond it",)


def test_targets_alone_are_carried_by_the_rigid_motion_where_that_is_chosen(day_kit):
    config = AnatomyConfig(targets="rigid")
    found, notes = made(day_kit, registered((0.0, 0.0, 130.0)), config)
    drawn = {one.tg263: one for one in before(day_kit).structures}
    np.testing.assert_allclose(shares(found["PTV_7000"]), shares(drawn["PTV_7000"]), atol=1e-5)
    target = found["PTV_7000"].origin
    assert target is not None
    assert (target.kind, target.by) == (Origin.PROPAGATED_RIGID, "rigid")
    assert "Parotid_L does not lie in today's image and has no contour today" in notes
    assert "Parotid_L" not in found


def test_without_a_deformation_all_are_carried_rigidly(day_kit):
    found, _ = made(day_kit, registered(method=""), AnatomyConfig())
    kinds = {name: one.origin.kind for name, one in found.items() if one.origin is not None}
    assert {name: kinds[name] for name in ("PTV_7000", "Parotid_L", "SpinalCord")} == dict.fromkeys(
        ("PTV_7000", "Parotid_L", "SpinalCord"), Origin.PROPAGATED_RIGID
    )


def test_a_target_that_comes_to_lie_outside_is_refused(day_kit):
    with pytest.raises(InconsistentCase, match="it does not hold the target PTV_7000") as refusal:
        made(day_kit, registered((0.0, 0.0, 130.0)), AnatomyConfig())
    assert refusal.value.fields["rule"] == "day.misses-target"


def test_the_external_is_todays_under_the_references_name_and_number(day_kit):
    reference = before(day_kit)
    assert reference.external is not None
    named = replace(reference.external, name="BODY", number=9, colour_rgb=(1, 2, 3))
    reference = replace(reference, external=named, structures=(named, *reference.structures[1:]))
    found, _ = made(day_kit, registered((-8.0, 0.0, 0.0)), AnatomyConfig(), reference)
    external = found["External"]
    assert (external.name, external.number, external.colour_rgb) == ("BODY", 9, (1, 2, 3))
    seen = derive_external(Image(GRID, day_kit.today().series.image.hu), EXTERNAL_NUMBER)
    np.testing.assert_array_equal(shares(external), shares(seen))


@pytest.mark.parametrize("is_known", [True, False])
def test_a_number_that_another_has_or_none_has_becomes_the_next_free_one(day_kit, is_known):
    """The others are numbered 2, 3 and 4; the body shares 3, or the reference has none of its own."""
    reference = before(day_kit)
    others = reference.structures[1:]
    assert reference.external is not None
    external = replace(reference.external, number=3) if is_known else None
    reference = replace(reference, external=external, structures=(external, *others) if external else others)
    found, _ = made(day_kit, registered(), AnatomyConfig(), reference)
    assert found["External"].number == 5


def test_on_an_mr_the_external_is_carried(day_kit):
    today = day_kit.today()
    day = Day(today.series, today.series.image.hu, (), None, False)
    found, _ = made(day_kit, registered((-4.0, 0.0, 0.0)), AnatomyConfig(), day=day)
    body = shares(before(day_kit).structures[0])
    assert found["External"].number == 1
    np.testing.assert_allclose(shares(found["External"]), np.roll(body, 1, axis=2), atol=1e-5)


RULES = AnatomyConfig.model_validate(
    {
        "derived": [
            {"name": "PTV_Low", "source": "PTV_7000", "margin_mm": 4},
            {"name": "PRV", "source": "SpinalCord", "margin_mm": [1, 2, 3, 4, 5, 6], "crop_to_external_mm": 3},
            {"name": "PTV_Lung", "source": "CTV_Lung", "margin_mm": 5},
        ]
    }
)


def test_rules_whose_source_the_case_has_are_kept_with_their_margins():
    first, second = rules_of(RULES, {"PTV_7000", "SpinalCord", "Parotid_L"})
    assert (first.name, first.source, first.margins_mm) == ("PTV_Low", "PTV_7000", Margins.all_round(4))
    assert first.crop_to_external_mm == 0
    wanted = Margins(left=1, right=2, anterior=3, posterior=4, superior=5, inferior=6)
    assert (second.name, second.margins_mm, second.crop_to_external_mm) == ("PRV", wanted, 3)
    assert rules_of(RULES, ()) == ()


def test_derived_structures_are_made_anew_of_todays(day_kit):
    """The box of 40 mm grows by a voxel on each of its four sides in the middle slice."""
    found, notes = made(day_kit, registered((-4.0, 0.0, 0.0)), RULES)
    assert "PTV_Low was made anew of today's PTV_7000 + 4 mm in External" in notes
    assert "PTV_Lung" not in found
    origin = found["PTV_Low"].origin
    assert origin is not None and origin.kind is Origin.DERIVED
    source, grown = (np.nonzero(shares(found[name])[15] >= 0.5) for name in ("PTV_7000", "PTV_Low"))
    for inner, outer in zip(source, grown, strict=True):
        assert (outer.min(), outer.max()) == (inner.min() - 1, inner.max() + 1)


def with_ctv(kit: Kit) -> Reference:
    """The reference with the CTV that its PTV_7000 is, less a voxel of 4 mm on every side."""
    reference = before(kit)
    ctv = kit.structure("CTV_7000", StructureKind.TARGET, kit.box((-16, -16, -16), (16, 16, 16)), 7)
    return replace(reference, structures=(*reference.structures, ctv))


def test_a_ptv_is_made_of_todays_ctv_with_the_margin_of_the_reference(day_kit):
    found, notes = made(day_kit, registered((-4.0, 0.0, 0.0)), AnatomyConfig(), with_ctv(day_kit))
    words = "CTV_7000 + 4 mm in External"
    assert f"PTV_7000 was made anew of today's {words}, as in the reference" in notes
    origin = found["PTV_7000"].origin
    assert origin is not None and (origin.kind, origin.from_) == (Origin.DERIVED, words)
    source, target = (np.nonzero(shares(found[name])[15] >= 0.5) for name in ("CTV_7000", "PTV_7000"))
    for inner, outer in zip(source, target, strict=True):
        assert (outer.min(), outer.max()) == (inner.min() - 1, inner.max() + 1)


def test_a_ptv_is_carried_where_its_margin_is_not_asked_for_or_none_is_seen(day_kit):
    reference, config = with_ctv(day_kit), AnatomyConfig(margins="configured")
    found, notes = made(day_kit, registered(), config, reference)
    assert found["PTV_7000"].origin.kind is Origin.PROPAGATED_DEFORMABLE
    assert not any("PTV_7000" in note for note in notes)
    parted = day_kit.box((-16, -16, -16), (16, 16, 16)) & ~day_kit.box((-8, -16, -16), (8, 16, 16))
    ctv = day_kit.structure("CTV_7000", StructureKind.TARGET, parted, 7)
    reference = replace(reference, structures=(*reference.structures[:-1], ctv))
    found, notes = made(day_kit, registered(), AnatomyConfig(), reference)
    assert found["PTV_7000"].origin.kind is Origin.PROPAGATED_DEFORMABLE
    assert "PTV_7000 was carried: in the reference it is no other target with a margin round it" in notes


def test_a_configured_rule_wins_over_what_the_reference_shows(day_kit):
    rule = {"name": "PTV_7000", "source": "CTV_7000", "margin_mm": 8}
    config = AnatomyConfig.model_validate({"derived": [rule]})
    _, notes = made(day_kit, registered(), config, with_ctv(day_kit))
    assert [note for note in notes if "PTV_7000" in note] == [
        "PTV_7000 was made anew of today's CTV_7000 + 8 mm in External"
    ]
