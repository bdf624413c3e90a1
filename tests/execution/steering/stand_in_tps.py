"""A planning system that speaks over pipes as an outside one does, and plans nothing: python stand_in_tps.py BENCH WAY.

Each region with a squared underdose gets 90 % of the most that is asked in a call from the beginning, all of it in a
warm one. WAY says how it fails, from the first call on or ('mute') before; 'good' does not."""

from __future__ import annotations

import sys
import time

import numpy as np

sys.path.insert(0, sys.argv[1])
from peer_wire import packed, unpacked

KINDS = ["squared_underdose", "squared_overdose", "dvh_min", "dvh_max", "mean_dose"]


def read(size: int) -> bytes:
    data = sys.stdin.buffer.read(size)
    if len(data) < size:
        sys.exit(0)
    return data


def say(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def misbehave(way: str, dose: np.ndarray) -> None:
    """Says something in the place of an answer, or nothing; returns for 'good'."""
    fine = {"merit": 1.0, "iterations": 1, "cpu_s": 0.0}
    if way == "ends":
        sys.exit("numpy: cannot allocate the matrix")
    if way == "hangs":
        time.sleep(600)
    if way == "chats":
        say(b"Iteration 1 of 100, all well so far\n")
    if way == "half":
        say(packed(fine, {"dose_gy": dose})[:-1])
        sys.exit(3)
    if way == "small":
        say(packed(fine, {"dose_gy": dose[1:]}))
    if way == "nan":
        say(packed(fine, {"dose_gy": np.full_like(dose, np.nan)}))
    if way == "words":
        say(packed({**fine, "merit": "good"}, {"dose_gy": dose}))


def main() -> None:
    way = sys.argv[2]
    _, arrays = unpacked(read)
    shape, regions, calls = arrays["hu"].shape, {}, 0
    say(packed({} if way == "mute" else {"kinds": KINDS}))
    while True:
        message, arrays = unpacked(read)
        regions |= arrays
        calls += 1
        dose = np.zeros(shape, np.float32)
        misbehave(way, dose)
        for asked in message["objectives"]:
            if asked["kind"] == "squared_underdose":
                index, part = regions[asked["region"]], 1.0 if message["warm"] else 0.9
                dose.flat[index] = np.maximum(dose.flat[index], part * asked["dose_gy"])
        say(packed({"merit": 1.0, "iterations": message["iterations"], "cpu_s": 0.25}, {"dose_gy": dose}))


if __name__ == "__main__":
    main()
