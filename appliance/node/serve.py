"""`couchside serve`: the node until somebody asks it to stop."""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
from collections.abc import Callable
from typing import TextIO, cast

import structlog

from appliance.config import Config
from appliance.node.node import MakeStages, Node

LOOK_EVERY_S = 0.5
"""A wait that ends now and then hears every signal. One without end did not: where SIGTERM came while a network's
runtime was starting in the sessions' thread, the signal was taken and this thread never woke. Why was not found out."""


def serve(config: Config, on_ready: Callable[[Node], None], make_stages: MakeStages) -> None:
    """Returns after SIGTERM or SIGINT, when everything is closed. Raises what kept the node from starting or going
    on."""
    node = Node(config, make_stages)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: node.ended.set())
    node.start()
    try:
        on_ready(node)
        while not node.ended.wait(LOOK_EVERY_S):
            pass
    finally:
        node.stop()
    if node.failure is not None:
        raise node.failure


class _StandardError:
    """The standard error of the moment. A log line that cannot be written (its reader has gone) is lost, and must not
    take an association or a session with it: what must not be lost stands in the audit log."""

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()


def log_to_stderr(*, as_json: bool) -> None:
    """As JSON lines from `info` up for a node that runs on its own; else plain lines from `warning` up, beside a
    command's progress. stdout stays for results."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO if as_json else logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _StandardError())),
        cache_logger_on_first_use=False,
    )
