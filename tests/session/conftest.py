from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from appliance.approval import IdentityStore
from appliance.audit import AuditLog, AuditRow
from appliance.config import Config, PeerConfig, PlanningConfig
from appliance.contracts import ExportSet, Received
from appliance.session import Session, next_state
from appliance.session_headless import read_case
from appliance.session_record import replay
from appliance.session_stages import Stages
from appliance.session_work import Workplace

from .small_case import SmallCase, write_small_case
from .standin import stages_with

PASSPHRASE = "a long enough passphrase"
PHYSICIAN = "Dr Test"


@dataclass
class Desk:
    """A store with one session at a time; `reopen` is what a restart does."""

    store: Path
    small: SmallCase
    received: tuple[Received, ...]
    identities: IdentityStore
    audit: AuditLog
    stages: Stages
    sent: list[tuple[Path, ...]] = field(default_factory=list)

    @property
    def workplace(self) -> Workplace:
        return Workplace(self.audit, self.store)

    def session(self, stages: Stages | None = None) -> Session:
        session = Session.open("s-1", self.received[0].patient_key, stages or self.stages, self.workplace)
        session.receive(self.received, {"last_object_utc": "2026-01-01T00:00:00.000000Z"})
        return session

    def reopen(self, stages: Stages | None = None) -> Session:
        self.audit.close()
        self.audit = AuditLog.open(self.store / "audit.sqlite")
        standing = replay(self.audit.rows(), next_state)["s-1"]
        return Session(standing, stages or self.stages, self.workplace)

    def rows(self, event: str | None = None) -> list[AuditRow]:
        return list(self.audit.rows(event=event))

    def states(self) -> list[str]:
        return [str(row.data["to"]) for row in self.rows("session.transition")]


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallCase:
    return write_small_case(tmp_path_factory.mktemp("small") / "case")


@pytest.fixture(scope="session")
def received(small: SmallCase) -> tuple[Received, ...]:
    return read_case(small.folder)[0]


@pytest.fixture
def desk(tmp_path: Path, small: SmallCase, received: tuple[Received, ...]) -> Iterator[Desk]:
    store = tmp_path / "store"
    identities = IdentityStore(store / "identities", scrypt_n=2**14)
    identities.create(PHYSICIAN, "physician", PASSPHRASE)
    config = Config(planning=PlanningConfig(goals=small.goals), peer=PeerConfig(port=1, attempts=1, retry_s=0))
    audit = AuditLog.open(store / "audit.sqlite")
    sent: list[tuple[Path, ...]] = []

    def take(export_set: ExportSet, _: object) -> tuple[str, ...]:
        sent.append((*export_set.files, *export_set.registrations))
        return ()

    stages = stages_with(send=take)(config, identities)
    made = Desk(store, small, received, identities, audit, stages, sent)
    yield made
    made.audit.close()
