"""Episodes on Ray: started on this machine, or an existing cluster by its address. Every node has Couchside installed
and sees the folder of cases under the same path."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import ray

from models.policy.rollout import Job, Orders, Played, play
from models.policy.workers import ONE_THREAD, HandLost, HiredCrew


class Player:
    """What runs in Ray's process."""

    def play(self, job: Job, orders: Orders) -> Played:
        return play(job, orders)

    def number(self) -> int:
        return os.getpid()


@dataclass(eq=False)
class RayHand:
    """process: a reference to the number of the actor's process, on its node."""

    actor: Any
    process: Any
    answer: Any = None


class RayCrew(HiredCrew[RayHand]):
    """address: '' starts a Ray of `workers` cores here, which ends with `close`."""

    def __init__(self, workers: int, timeout_s: float, address: str = "") -> None:
        if address:
            ray.init(address=address, log_to_driver=False)
        else:
            ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False)
        self._remote = ray.remote(num_cpus=1, runtime_env={"env_vars": ONE_THREAD})(Player)
        super().__init__(workers, timeout_s)

    def _hire(self) -> RayHand:
        actor = self._remote.remote()
        return RayHand(actor, actor.number.remote())

    def _begin(self, orders: Orders) -> None:
        self._orders = ray.put(orders)

    def _give(self, hand: RayHand, job: Job) -> None:
        hand.answer = hand.actor.play.remote(job, self._orders)

    def _ready(self, hands: Sequence[RayHand], seconds: float) -> Iterable[RayHand]:
        done, _ = ray.wait([hand.answer for hand in hands], num_returns=1, timeout=seconds)
        return [hand for hand in hands if hand.answer in done]

    def _take(self, hand: RayHand) -> Played:
        try:
            result = ray.get(hand.answer)
        except ray.exceptions.RayError as error:
            raise HandLost(str(error).splitlines()[0]) from error
        if not isinstance(result, Played):
            raise HandLost("it answered with something else than a result")
        return result

    def _dismiss(self, hand: RayHand) -> None:
        ray.kill(hand.actor)

    def close(self) -> None:
        super().close()
        ray.shutdown()
