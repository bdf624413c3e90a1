"""Many episodes by many hands: in this process, in processes of this machine, or on Ray. The same jobs give the same
results in the same order, whoever plays them.

A hand that dies or hangs is replaced, and its job is given to another. A job that cost LIVES hands comes back as failed
with the reason; none is ever missing."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Generic, Protocol, TypeVar

from models.policy.rollout import Job, Orders, Played, play

Hand = TypeVar("Hand")

LIVES = 3
LONGEST_WAIT_S = 0.5
"""A round looks this often whether it shall stop or a hand is late."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
"""Environment of a hand: every core has one of its own."""


class Stopped(Exception):
    """A round was ended before all jobs were played; nothing of it is kept."""


class HandLost(Exception):
    """A worker is gone; the words say how."""


class Crew(Protocol):
    """Who plays. `play` gives one result for each job, in their order; calls asked now and again says whether to give
    up. Raises Stopped then. `close` ends the hands."""

    def play(self, jobs: Sequence[Job], orders: Orders, asked: Callable[[], bool] = ...) -> list[Played]: ...

    def close(self) -> None: ...


def never() -> bool:
    return False


class InProcess:
    """One after the other, here."""

    def play(self, jobs: Sequence[Job], orders: Orders, asked: Callable[[], bool] = never) -> list[Played]:
        results = []
        for job in jobs:
            if asked():
                raise Stopped
            results.append(play(job, orders))
        return results

    def close(self) -> None:
        """Nothing to end."""


@dataclass(eq=False)
class Held(Generic[Hand]):
    """A job in a hand's keeping until a time of `time.monotonic`."""

    hand: Hand
    job: Job
    lost: int
    until_s: float


class HiredCrew(ABC, Generic[Hand]):
    """Hands that may be lost. timeout_s: longest that one episode may take."""

    def __init__(self, workers: int, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._free: list[Hand] = [self._hire() for _ in range(workers)]
        self._held: list[Held[Hand]] = []

    def play(self, jobs: Sequence[Job], orders: Orders, asked: Callable[[], bool] = never) -> list[Played]:
        waiting = deque((job, 0) for job in jobs)
        results: dict[int, Played] = {}
        self._begin(orders)
        while waiting or self._held:
            if asked():
                self._drop_all()
                raise Stopped
            while waiting and self._free:
                job, lost = waiting.popleft()
                hand = self._free.pop()
                self._held.append(Held(hand, job, lost, time.monotonic() + self._timeout_s))
                self._give(hand, job)
            for held, result in self._collected():
                self._held.remove(held)
                if isinstance(result, Played):
                    results[held.job.number] = result
                    self._free.append(held.hand)
                    continue
                self._dismiss(held.hand)
                self._free.append(self._hire())
                if held.lost + 1 < LIVES:
                    waiting.appendleft((held.job, held.lost + 1))
                    continue
                told = f"{held.job.task.case}, task {held.job.task.number}: {LIVES} workers were lost on it ({result})"
                results[held.job.number] = Played(held.job.number, error=told)
        return [results[job.number] for job in jobs]

    def _collected(self) -> list[tuple[Held[Hand], Played | HandLost]]:
        """What has come in within a short while, and who is late."""
        found: list[tuple[Held[Hand], Played | HandLost]] = []
        ready = self._ready([held.hand for held in self._held], LONGEST_WAIT_S)
        for held in self._held:
            if held.hand in ready:
                try:
                    found.append((held, self._take(held.hand)))
                except HandLost as lost:
                    found.append((held, lost))
            elif time.monotonic() > held.until_s:
                found.append((held, HandLost(f"no answer within {self._timeout_s:g} s")))
        return found

    def _drop_all(self) -> None:
        """What is being played is thrown away with its hands, so that no late answer is taken for another job's."""
        for held in self._held:
            self._dismiss(held.hand)
            self._free.append(self._hire())
        self._held.clear()

    def close(self) -> None:
        for hand in (*self._free, *(held.hand for held in self._held)):
            self._dismiss(hand)
        self._free, self._held = [], []

    @abstractmethod
    def _hire(self) -> Hand: ...

    @abstractmethod
    def _begin(self, orders: Orders) -> None:
        """Of the round that follows."""

    @abstractmethod
    def _give(self, hand: Hand, job: Job) -> None: ...

    @abstractmethod
    def _ready(self, hands: Sequence[Hand], seconds: float) -> Iterable[Hand]:
        """Hands that have answered or died; waits so long for the first."""

    @abstractmethod
    def _take(self, hand: Hand) -> Played:
        """Raises HandLost."""

    @abstractmethod
    def _dismiss(self, hand: Hand) -> None: ...


@dataclass(eq=False)
class LocalHand:
    process: subprocess.Popen[bytes]
    line: Connection


class Processes(HiredCrew[LocalHand]):
    """Processes of this machine that know nothing of torch and have one thread each."""

    def _hire(self) -> LocalHand:
        ours, theirs = Pipe()
        process = subprocess.Popen(
            [sys.executable, "-m", "models.policy.worker", str(theirs.fileno())],
            pass_fds=[theirs.fileno()], env={**os.environ, **ONE_THREAD}, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        theirs.close()
        return LocalHand(process, ours)

    def _begin(self, orders: Orders) -> None:
        self._orders = orders

    def _give(self, hand: LocalHand, job: Job) -> None:
        try:
            hand.line.send((job, self._orders))
        except OSError:
            return  # it has died: `_take` finds that out, and the job is given to another

    def _ready(self, hands: Sequence[LocalHand], seconds: float) -> Iterable[LocalHand]:
        lines = wait([hand.line for hand in hands], seconds)
        return [hand for hand in hands if hand.line in lines]

    def _take(self, hand: LocalHand) -> Played:
        try:
            result = hand.line.recv()
        except (EOFError, OSError) as error:
            raise HandLost(f"its process ended with code {_code(hand.process)}") from error
        if not isinstance(result, Played):
            raise HandLost("it answered with something else than a result")
        return result

    def _dismiss(self, hand: LocalHand) -> None:
        hand.line.close()
        hand.process.kill()
        hand.process.wait()


def _code(process: subprocess.Popen[bytes]) -> str:
    try:
        return str(process.wait(timeout=5.0))
    except subprocess.TimeoutExpired:
        return "none"
