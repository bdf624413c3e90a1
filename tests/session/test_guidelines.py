"""Guidelines in a store: who activates what, what it changes on past plans, and that nothing altered is ever used."""

from __future__ import annotations

import hashlib
import json
import shutil
from datetime import date
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.config import Config, NodeConfig, PeerConfig, PlanningConfig
from appliance.contracts import PrescribedTarget, Received
from appliance.contracts.progress import silent
from appliance.dicomio.files import save_durable
from appliance.dicomio.plan import plan_dataset
from appliance.errors import ApprovalError, RefusedPackage, UncoveredFractionation
from appliance.evaluation import load_goal_set
from appliance.evaluation.guidelines.keys import key_file
from appliance.evaluation.guidelines.records import records_digest
from appliance.session_guidelines import GuidelineDesk
from appliance.session_headless import read_case

from ..evaluation.clinic_package import write_package
from .conftest import PASSPHRASE, PHYSICIAN, Desk
from .standin import open_field, stages_with

SIGNER = "Our clinic"


@pytest.fixture
def key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


@pytest.fixture
def guide(desk: Desk, key: Ed25519PrivateKey, tmp_path: Path) -> GuidelineDesk:
    """A store that trusts the clinic's key."""
    made = GuidelineDesk(desk.store, desk.audit, desk.identities)
    (tmp_path / "key.toml").write_bytes(key_file(SIGNER, key))
    made.trust(tmp_path / "key.toml", PHYSICIAN, PASSPHRASE)
    return made


def active(guide: GuidelineDesk) -> dict[str, tuple[str, str]]:
    return {one.package.manifest.name: (one.package.manifest.version, one.why) for one in guide.guidelines.active()}


def installed(guide: GuidelineDesk, folder: Path, key: Ed25519PrivateKey, **facts: object) -> GuidelineDesk:
    guide.install(write_package(folder / f"clinic-{facts.get('version', '1.0.0')}", key, **facts), "uid 1")
    return guide


def test_shipped_packages_are_active_as_shipped_and_nothing_else_is(guide, key, tmp_path: Path) -> None:
    installed(guide, tmp_path, key)
    assert active(guide) == dict.fromkeys(("openkbp", "quantec", "sbrt", "tg119"), ("1.0.0", "as shipped"))
    assert guide.guidelines.active_version("clinic") is None


def test_a_named_person_activates_and_the_log_says_who(desk: Desk, guide, key, tmp_path: Path) -> None:
    installed(guide, tmp_path, key)
    done = guide.activate("clinic", "1.0.0", PHYSICIAN, PASSPHRASE, "our tumour board decided it")
    assert active(guide)["clinic"][0] == "1.0.0"
    assert active(guide)["clinic"][1].startswith(f"activated by {PHYSICIAN} (physician) on ")
    assert [row.event for row in desk.rows() if row.event.startswith("guidelines.")] == [
        "guidelines.key_trusted",
        "guidelines.installed",
        "guidelines.activated",
    ]
    row = desk.rows("guidelines.activated")[0]
    assert row.actor == f"{PHYSICIAN} (physician)"
    assert (row.data["digest"], row.data["decision"]["reason"]) == (done.package.digest, "our tumour board decided it")


def test_the_three_records_are_bound_by_their_digest(desk: Desk, guide, key, tmp_path: Path) -> None:
    installed(guide, tmp_path, key)
    done = guide.activate("clinic", "1.0.0", PHYSICIAN, PASSPHRASE)
    names = ("description-of-modifications", "impact-assessment", "modification-protocol")
    assert sorted(path.name for path in done.records.iterdir()) == sorted(
        f"{name}.{ending}" for name in names for ending in ("json", "md")
    )
    written = {path.name: path.read_bytes() for path in done.records.iterdir()}
    lines = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(written.items()))
    digest = hashlib.sha256(lines.encode()).hexdigest()
    row = desk.rows("guidelines.activated")[0]
    assert row.data["records_digest"] == row.data["decision"]["records"] == digest == records_digest(written)
    protocol = json.loads(written["modification-protocol.json"])
    assert protocol["re_training"] and protocol["update_procedures"] and protocol["data_management"]
    assert "goal set small is new" in written["description-of-modifications.md"].decode()


@pytest.mark.parametrize(("person", "passphrase"), [(PHYSICIAN, "not the passphrase"), ("Nobody", PASSPHRASE)])
def test_nobody_else_activates(desk: Desk, guide, key, tmp_path: Path, person: str, passphrase: str) -> None:
    installed(guide, tmp_path, key)
    with pytest.raises(ApprovalError):
        guide.activate("clinic", "1.0.0", person, passphrase)
    assert "clinic" not in active(guide)
    assert not desk.rows("guidelines.activated")


def test_rollback_goes_to_the_version_before(desk: Desk, guide, key, tmp_path: Path) -> None:
    installed(guide, tmp_path, key)
    installed(guide, tmp_path, key, version="2.0.0", core_gy=22.0)
    with pytest.raises(RefusedPackage, match="no other version was active before"):
        guide.rollback("clinic", PHYSICIAN, PASSPHRASE)
    guide.activate("clinic", "1.0.0", PHYSICIAN, PASSPHRASE)
    guide.activate("clinic", "2.0.0", PHYSICIAN, PASSPHRASE)
    done = guide.rollback("clinic", PHYSICIAN, PASSPHRASE, "limits too weak")
    assert active(guide)["clinic"][0] == "1.0.0"
    assert [change.text for change in done.changes] == ["Core Mean, upper limit 22 → 18 Gy (-18.2 %), harder to meet"]
    assert desk.rows("guidelines.rolled_back")[0].data["version"] == "1.0.0"
    with pytest.raises(RefusedPackage, match="no other version was active before"):
        guide.rollback("clinic", PHYSICIAN, PASSPHRASE)  # what was taken back does not come back this way
    assert active(guide)["clinic"][0] == "1.0.0"


def test_a_tampered_package_is_refused_and_the_attempt_recorded(desk: Desk, guide, key, tmp_path: Path) -> None:
    folder = write_package(tmp_path / "clinic", key)
    goals = folder / "goals" / "small.toml"
    goals.write_text(goals.read_text().replace("18.0", "81.0"))
    with pytest.raises(RefusedPackage, match=r"goals/small\.toml was changed"):
        guide.install(folder, "uid 1")
    assert "goals/small.toml was changed" in str(desk.rows("guidelines.refused")[0].data["why"])


def test_a_package_that_is_altered_after_activation_is_not_used(guide, key, tmp_path: Path) -> None:
    installed(guide, tmp_path, key)
    guide.activate("clinic", "1.0.0", PHYSICIAN, PASSPHRASE)
    goals = guide.guidelines.folder / "packages" / "clinic" / "1.0.0" / "goals" / "small.toml"
    goals.write_text(goals.read_text().replace("18.0", "81.0"))
    with pytest.raises(RefusedPackage, match="was changed since it was signed"):
        guide.guidelines.usable()


def test_an_expired_package_is_neither_installed_nor_activated_nor_used(guide, key, tmp_path: Path) -> None:
    with pytest.raises(RefusedPackage, match=r"validity ended on 2026-03-31.*Ask its author"):
        installed(guide, tmp_path, key, valid_until="2026-03-31")
    installed(guide, tmp_path, key, version="1.1.0", valid_from="2098-01-01")
    with pytest.raises(RefusedPackage, match="valid only from 2098-01-01"):
        guide.activate("clinic", "1.1.0", PHYSICIAN, PASSPHRASE)


def test_what_expires_while_active_is_left_out_and_named(guide, key, tmp_path: Path) -> None:
    installed(guide, tmp_path, key, valid_until="2098-12-31")
    guide.activate("clinic", "1.0.0", PHYSICIAN, PASSPHRASE)
    later = guide.guidelines
    later.today = lambda: date(2099, 1, 1)
    assert "small" not in {one.name for one in later.usable()}
    assert any("clinic 1.0.0 is not used: its validity ended on 2098-12-31" in told for told in later.expired())


def test_decisions_that_nobody_signed_count_nothing(guide, key, tmp_path: Path) -> None:
    installed(guide, tmp_path, key)
    guide.activate("clinic", "1.0.0", PHYSICIAN, PASSPHRASE)
    path = guide.guidelines.folder / "decisions.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"reason":""', b'"reason":"x"', 1))
    with pytest.raises(ApprovalError, match=r"decision 1 about guidelines is not signed by Dr Test"):
        guide.guidelines.active()


def test_a_decision_cut_off_the_end_is_missed_by_the_next_act(guide, key, tmp_path: Path) -> None:
    installed(guide, tmp_path, key)
    guide.activate("clinic", "1.0.0", PHYSICIAN, PASSPHRASE)
    path = guide.guidelines.folder / "decisions.jsonl"
    path.write_bytes(path.read_bytes().split(b"\n")[0] + b"\n")
    with pytest.raises(RefusedPackage, match="ends with number 1, the audit log has 2"):
        guide.activate("clinic", "1.0.0", PHYSICIAN, PASSPHRASE)


def test_a_key_file_nobody_decided_on_is_not_trusted(guide, tmp_path: Path) -> None:
    stranger = Ed25519PrivateKey.generate()
    guide.guidelines.add_key(key_file("Stranger", stranger))
    with pytest.raises(RefusedPackage, match="not trusted here"):
        guide.install(write_package(tmp_path / "strange", stranger), "uid 1")


def test_a_version_is_installed_once_and_never_replaced(guide, key, tmp_path: Path) -> None:
    installed(guide, tmp_path, key)
    with pytest.raises(RefusedPackage, match="installed already"):
        guide.install(tmp_path / "clinic-1.0.0", "uid 1")
    with pytest.raises(RefusedPackage, match="must give the changed one a new version"):
        guide.install(write_package(tmp_path / "other", key, core_gy=30.0), "uid 1")


def test_a_session_is_judged_by_the_active_version_and_says_which(desk: Desk, guide, key, tmp_path: Path) -> None:
    """And a new version is tried on that plan before anybody activates it: Core has 20.5 Gy; 18 Gy fails, 22 passes."""
    installed(guide, tmp_path, key)
    package = guide.activate("clinic", "1.0.0", PHYSICIAN, PASSPHRASE).package
    config = Config(node=NodeConfig(store=desk.store), planning=PlanningConfig(site="small"), peer=PeerConfig(port=1))
    session = desk.session(stages_with()(config, desk.identities))
    session.run()
    assert session.error is None
    facts = session.standing.facts
    assert facts["guideline"] == {"name": "clinic", "version": "1.0.0", "digest": package.digest}
    assert any("guideline package clinic 1.0.0" in note for note in session.files.evaluation().notes)
    done = guide.install(write_package(tmp_path / "next", key, version="2.0.0", core_gy=22.0), "uid 1")
    (plan,) = done.impact.plans
    assert (plan.session, plan.met_before, plan.met_after) == ("s-1", 1, 2)
    (flip,) = plan.flips
    assert (flip.goal, flip.before, flip.after) == ("Core Mean <= 22 Gy", "fail", "pass")
    assert flip.value == pytest.approx(20.5, abs=0.01)
    assert done.impact.sentence == "1 of 1 stored plans would be judged otherwise; 0 goals would fail"
    guide.activate("clinic", "2.0.0", PHYSICIAN, PASSPHRASE)
    worse = guide.rollback("clinic", PHYSICIAN, PASSPHRASE)
    assert worse.impact.sentence.endswith("1 goals would fail that did not")


ORGANS = """
name = "small"
title = "Organs of any course"
site = "small"

[covers]
fraction_gy = [{low}, {high}]
fractions = [5]

[[target_goal]]
metric = "D95%"
comparator = ">="
limit = 100.0
unit = "%Rx"
priority = 1
source = "Our own choice for a test"

[[goal]]
structure = "Core"
metric = "Mean"
comparator = "<="
limit = {{core_gy}}
unit = "Gy"
priority = {{priority}}
source = "Our own choice for a test"
"""


def prescribed_case(desk: Desk, folder: Path) -> tuple[Received, ...]:
    """The small case with a received plan of 20 Gy in 5 fractions."""
    shutil.copytree(desk.small.folder, folder)
    case = desk.stages.assemble(read_case(folder)[0])
    goals = load_goal_set(desk.small.goals)
    dataset = plan_dataset(
        open_field(case, goals, None, silent).plan,
        identity=case.identity,
        structure_set=case.structure_set,
        predecessor=None,
        prescription=(PrescribedTarget("PTV", 20.0),),
        frame_of_reference_uid=case.frame_of_reference_uid,
    )
    save_durable(dataset, folder / "RP.dcm")
    return read_case(folder)[0]


@pytest.mark.parametrize(("low", "high", "covered"), [(3.5, 4.5, True), (1.8, 2.0, False)])
def test_the_received_plan_prescribes_what_an_organ_guideline_does_not(
    desk: Desk, guide, key, tmp_path: Path, low: float, high: float, covered: bool
) -> None:
    covers = f"fraction_gy = [{low}, {high}]\nfractions = [5]\n"
    goals = ORGANS.format(low=low, high=high)
    package = write_package(tmp_path / "organs", key, goals=goals, fractionation=covers)
    guide.install(package, "uid 1")
    guide.activate("clinic", "1.0.0", PHYSICIAN, PASSPHRASE)
    config = Config(node=NodeConfig(store=desk.store), planning=PlanningConfig(site="small"), peer=PeerConfig(port=1))
    desk.received = prescribed_case(desk, tmp_path / "prescribed")
    session = desk.session(stages_with()(config, desk.identities))
    session.run()
    if not covered:
        assert isinstance(session.error, UncoveredFractionation)
        assert "20 Gy in 5 fractions (4.00 Gy each)" in str(session.error)
        return
    assert session.error is None
    judged = session.files.evaluation().goals
    assert [(goal.structure, goal.metric, goal.limit, goal.unit) for goal in judged] == [
        ("PTV", "D95%", 20.0, "Gy"),
        ("Core", "Mean", 18.0, "Gy"),
    ]
    assert any("5 fractions, 20 Gy to PTV" in note for note in session.standing.notes)
