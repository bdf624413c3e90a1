from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from appliance.approval import IdentityStore
from appliance.cli.demo_peer import ReceivingPeer, push
from appliance.config import Config, NodeConfig, PeerConfig, PlanningConfig
from appliance.contracts.progress import silent
from appliance.node import Node, ask
from appliance.node.node import MakeStages
from appliance.node.wire import Message

from ..session.small_case import SmallCase, write_small_case
from ..session.standin import stages_with

T = TypeVar("T")

PASSPHRASE = "a long enough passphrase"
PHYSICIAN = "Dr Test"


@dataclass
class House:
    """A store, a peer that receives, and nodes on them, one at a time."""

    store: Path
    small: SmallCase
    peer: ReceivingPeer
    config: Config

    @contextmanager
    def node(self, make_stages: MakeStages | None = None, config: Config | None = None) -> Iterator[Node]:
        node = Node(config or self.config, make_stages or stages_with())
        node.start()
        try:
            yield node
        finally:
            node.stop()

    def with_node(self, **changed: object) -> Config:
        return self.config.model_copy(update={"node": self.config.node.model_copy(update=changed)})

    def with_port(self, port: int) -> Config:
        return self.with_node(port=port)

    def push(self, node: Node, files: tuple[Path, ...] = ()) -> None:
        push(files or self.small.files, node.port, "COUCHSIDE", silent)

    def ask(self, command: str, **fields: str) -> Message:
        return ask(self.store, {"command": command, **fields})

    def sessions(self) -> list[Message]:
        return list(self.ask("status")["sessions"])  # type: ignore[arg-type]

    def wait_for(self, state: str, seconds: float = 30.0) -> Message:
        """The first session in that state."""
        return self.wait_until(lambda: next((s for s in self.sessions() if s["state"] == state), None), seconds)

    def wait_until(self, what: Callable[[], T], seconds: float = 30.0) -> T:
        until = time.monotonic() + seconds
        while not (found := what()):
            assert time.monotonic() < until, self.sessions()
            time.sleep(0.05)
        return found

    def approve(self, session: Message) -> None:
        self.ask("approve", session=str(session["session"]), identity=PHYSICIAN, passphrase=PASSPHRASE)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallCase:
    return write_small_case(tmp_path_factory.mktemp("small") / "case")


@pytest.fixture
def house(tmp_path: Path, small: SmallCase) -> Iterator[House]:
    store = tmp_path / "store"
    IdentityStore(store / "identities", scrypt_n=2**14).create(PHYSICIAN, "physician", PASSPHRASE)
    peer = ReceivingPeer(tmp_path / "peer")
    config = Config(
        node=NodeConfig(port=0, store=store, settle_s=0.3, minimum_free_mb=1),
        peer=PeerConfig(ae_title="PEER", port=peer.port, attempts=1, retry_s=0),
        planning=PlanningConfig(goals=small.goals),
    )
    yield House(store, small, peer, config)
    peer.stop()
