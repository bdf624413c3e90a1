"""The running node: it receives, runs sessions, and does what people on this machine ask of it."""

from appliance.node.client import ask
from appliance.node.node import Node
from appliance.node.serve import log_to_stderr, serve

__all__ = ["Node", "ask", "log_to_stderr", "serve"]
