"""Asks the running node over its control socket."""

from __future__ import annotations

import socket
from pathlib import Path

from appliance.errors import NodeError
from appliance.node.wire import Message, error_of, read_message, send_message, socket_address

ANSWER_S = 120.0
"""Chosen, because an approval reads the whole case back before it signs, on a machine that may be planning."""


def ask(store: Path, message: Message) -> Message:
    """The node's answer. Raises the error the node answered with, or NodeError if no node runs on this store."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_S)
        try:
            with socket_address(store) as address:
                connection.connect(address)
            send_message(connection, message)
            answer = read_message(connection)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise NodeError(f"no node is running on the store {store}; start it with 'couchside serve'") from error
        except OSError as error:
            raise NodeError(f"the node on the store {store} does not answer ({error})") from error
    if answer is None:
        raise NodeError(f"the node on the store {store} ended before it answered")
    if not answer.get("ok"):
        raise error_of(answer)
    return answer
