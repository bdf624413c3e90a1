"""`couchside serve`: the node."""

from __future__ import annotations

from appliance.cli.options import ConfigFile, StoreFolder, settings
from appliance.node import Node, log_to_stderr
from appliance.node import serve as run_node
from appliance.session_models import verify_models
from appliance.session_wiring import real_stages


def serve(config: ConfigFile = None, store: StoreFolder = None) -> None:
    """Run the node: receive cases, run sessions, send approved plans. Logs JSON lines to stderr; SIGTERM ends it."""
    log_to_stderr(as_json=True)
    configured = settings(config, store)
    verify_models(configured)
    run_node(configured, _ready, real_stages)


def _ready(node: Node) -> None:
    """Nothing to say: the log line 'listening' names the port, and the control socket answers."""
