"""Who gets a place: connections that have not yet asked, and associations, counted apart and by address.

A connection that says nothing costs a thread and a little memory, never another peer's place: when those without an
association become too many, the oldest of the address that has most gives way. Associations are capped in all and by
address; one that has been idle gives way to a peer that wants to work.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Protocol

from appliance.inbound.limits import Limits


class Member(Protocol):
    """A connection. `evict` makes its thread end soon; it is called from other threads and must not block."""

    @property
    def address(self) -> str: ...

    def evict(self) -> None: ...


class Admission:
    """Thread-safe. Every member that arrived must leave."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._mutex = threading.Lock()
        # In order of arrival. Value: since when the association is idle; None while it is receiving.
        self._pending: dict[Member, None] = {}
        self._associated: dict[Member, float | None] = {}
        self._ending: set[Member] = set()

    def arrive(self, member: Member) -> bool:
        """False if the connection must be closed unanswered: too many are alive at all."""
        with self._mutex:
            if len(self._pending) + len(self._associated) + len(self._ending) >= self._limits.threads:
                return False
            self._pending[member] = None
            if len(self._pending) > self._limits.pending:
                crowd, _ = Counter(other.address for other in self._pending).most_common(1)[0]
                self._evict(next(other for other in self._pending if other.address == crowd))
            return True

    def associate(self, member: Member) -> bool:
        """Turns a pending connection into an association, if there is or can be made a place."""
        with self._mutex:
            if member in self._ending:
                return False
            same = [other for other in self._associated if other.address == member.address]
            if len(same) >= self._limits.associations_per_address and not self._make_room(same):
                return False
            if len(self._associated) >= self._limits.associations and not self._make_room(list(self._associated)):
                return False
            self._pending.pop(member, None)
            self._associated[member] = time.monotonic()
            return True

    def working(self, member: Member) -> None:
        """A message is being received: the member keeps its place."""
        with self._mutex:
            if member in self._associated:
                self._associated[member] = None

    def resting(self, member: Member) -> None:
        """Between messages."""
        with self._mutex:
            if member in self._associated:
                self._associated[member] = time.monotonic()

    def ending(self, member: Member) -> None:
        """The place is free; the thread still says farewell."""
        with self._mutex:
            self._pending.pop(member, None)
            self._associated.pop(member, None)
            self._ending.add(member)

    def leave(self, member: Member) -> None:
        with self._mutex:
            self._pending.pop(member, None)
            self._associated.pop(member, None)
            self._ending.discard(member)

    def evict_all(self) -> None:
        with self._mutex:
            for member in [*self._pending, *self._associated]:
                self._evict(member)

    @property
    def alive(self) -> int:
        with self._mutex:
            return len(self._pending) + len(self._associated) + len(self._ending)

    def _make_room(self, candidates: list[Member]) -> bool:
        idle = [(since, member) for member in candidates if (since := self._associated[member]) is not None]
        if not idle:
            return False
        since, member = min(idle, key=lambda pair: pair[0])
        if time.monotonic() - since < self._limits.yield_s:
            return False
        self._evict(member)
        return True

    def _evict(self, member: Member) -> None:
        self._pending.pop(member, None)
        self._associated.pop(member, None)
        self._ending.add(member)
        member.evict()
