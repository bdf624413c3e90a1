"""C-ECHO against real peers on the loopback: one that answers, one that refuses, one that is silent, none."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pynetdicom import AE
from pynetdicom.sop_class import Verification

from appliance.config import Config, PeerConfig
from appliance.health import Status, peers


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def config(port: int) -> Config:
    return Config(peer=PeerConfig(ae_title="PACS", port=port))


@pytest.fixture
def storescp(tmp_path: Path) -> Iterator[int]:
    program = shutil.which("storescp")
    if program is None:
        pytest.skip("DCMTK's storescp is not installed")
    port = free_port()
    environment = {**os.environ, "TCP_NODELAY": "1"}
    process = subprocess.Popen([program, "-aet", "PACS", "-od", str(tmp_path), str(port)], env=environment)
    for _ in range(100):
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    yield port
    process.terminate()
    process.wait()


@pytest.mark.peer
def test_dcmtk_answers(storescp: int) -> None:
    finding = peers.check(config(storescp))
    assert (finding.status, finding.detail["status"]) == (Status.OK, 0)


def test_a_peer_that_does_not_know_us_is_told_apart_from_a_silent_one() -> None:
    server = AE(ae_title="PACS")
    server.add_supported_context(Verification)
    server.require_calling_aet = ["SOMEONE"]
    running = server.start_server(("127.0.0.1", 0), block=False)
    try:
        finding = peers.check(config(running.server_address[1]))
    finally:
        running.shutdown()
    assert (finding.status, finding.detail["rejected"]) == (Status.DEGRADED, True)
    assert "COUCHSIDE" in finding.sentence


def test_nobody_there_is_degraded_at_once() -> None:
    start = time.monotonic()
    finding = peers.check(config(free_port()))
    assert (finding.status, "does not answer" in finding.sentence) == (Status.DEGRADED, True)
    assert time.monotonic() - start < 2


def test_a_silent_peer_is_given_up_after_the_time_limit() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        start = time.monotonic()
        finding = peers.check(config(silent.getsockname()[1]))
    assert finding.status is Status.DEGRADED
    assert peers.TIMEOUT_S - 0.5 < time.monotonic() - start < peers.TIMEOUT_S + 3
