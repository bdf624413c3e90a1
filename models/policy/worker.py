"""One hand of `workers.Processes`: python -m models.policy.worker FILENO. Plays what comes down its line, until that is
closed, as it is when whoever hired it ends."""

from __future__ import annotations

import signal
import sys
from multiprocessing.connection import Connection

from models.policy.rollout import play


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal: the run decides what becomes of its hands
    line = Connection(int(sys.argv[1]))
    while True:
        try:
            job, orders = line.recv()
        except EOFError:
            return
        line.send(play(job, orders))


if __name__ == "__main__":
    main()
