"""The tables of `planning_flow`: ways of planning over the same patients, with intervals over patients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.statistics import paired

Rows = list[dict[str, Any]]
Vector = NDArray[np.float64]
AGAINST = "rules"
DRAWS, SEED = 10_000, 1


def table(rows: Rows, ways: Sequence[str], *, organs: bool) -> bool:
    """Prints them; whether no way met fewer goals of a patient than the template."""
    of = {way: {one["case"]: one for one in rows if one["way"] == way} for way in ways}
    cases = [case for case in dict.fromkeys(one["case"] for one in rows) if all(case in of[way] for way in ways)]
    if not cases:
        print("no patient was planned in every way")
        return True
    print(f"\n{len(cases)} cases: {' '.join(cases)}")
    print("Means and shares with 95 % bootstrap intervals over cases, medians with quartiles.\n")
    print("| | " + " | ".join(ways) + " |\n|---|" + "---|" * len(ways))
    for title, cell in CELLS.items():
        print(f"| {title} | " + " | ".join(cell([of[way][case] for case in cases]) for way in ways) + " |")
    print("| score against rules | " + " | ".join(_against(of, way, cases) for way in ways) + " |")
    fewer = {way: _fewer(of, way, cases) for way in ways if way != "reference" and "template" in ways}
    said = (", ".join(fewer[way]) or "none" if way in fewer else "" for way in ways)
    print("| fewer goals than the template | " + " | ".join(said) + " |")
    if organs:
        _goals(of, ways, cases)
        _targets(of, ways, cases)
    return not any(fewer.values())


def _share(own: Rows) -> str:
    """Goals met of all; the interval draws whole patients."""
    met, goals = (np.array([one[key] for one in own], float) for key in ("met", "goals"))
    picked = np.random.default_rng(SEED).integers(0, len(own), (DRAWS, len(own)))
    low, high = np.quantile(100 * met[picked].sum(1) / goals[picked].sum(1), [0.025, 0.975])
    return (
        f"{met.sum():.0f} of {goals.sum():.0f}, {100 * met.sum() / goals.sum():.1f} % ({low:.1f} to {high:.1f}), "
        f"all of {int((met == goals).sum())}"
    )


def _cell(key: str, told: Callable[[Vector], str]) -> Callable[[Rows], str]:
    """Empty for a way that has no such figure."""

    def cell(own: Rows) -> str:
        return "" if any(key not in one for one in own) else told(np.array([one[key] for one in own], float))

    return cell


def _mean(key: str, digits: int = 1) -> Callable[[Rows], str]:
    def told(values: Vector) -> str:
        low, high = np.quantile(_drawn(values), [0.025, 0.975])
        return f"{values.mean():.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"

    return _cell(key, told)


def _drawn(values: Vector) -> Vector:
    """(DRAWS,) means of as many cases, drawn with replacement."""
    return values[np.random.default_rng(SEED).integers(0, len(values), (DRAWS, len(values)))].mean(axis=1)


def _quartiles(key: str, digits: int = 0) -> Callable[[Rows], str]:
    return _cell(key, lambda values: _spread(values, digits))


def _spread(values: Vector, digits: int) -> str:
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def _count(key: str) -> Callable[[Rows], str]:
    """Of cases, with the interval of a share."""

    def told(held: Vector) -> str:
        low, high = np.quantile(100 * _drawn(held), [0.025, 0.975])
        return f"{held.sum():.0f} of {len(held)} ({low:.0f} to {high:.0f} %)"

    return _cell(key, told)


CELLS: dict[str, Callable[[Rows], str]] = {
    "goals met": _share,
    "patients with hottest 0.1 cc within its limit": _count("hot_met"),
    "score, mean, %": _mean("score", 2),
    "deliverable": _count("deliverable"),
    "monitor units, median": _quartiles("mu"),
    "delivery of a fraction, median, s": _quartiles("delivery_s"),
    "MCS, median": _quartiles("mcs", 3),
    "calls of exploring, median": _quartiles("calls"),
    "rounds in full, median": _quartiles("rounds"),
    "CPU s to the plan, median": _quartiles("cpu_s"),
    "wall s to the plan, median": _quartiles("wall_s"),
}


def _against(of: dict[str, dict[str, Any]], way: str, cases: Sequence[str]) -> str:
    if way == AGAINST or AGAINST not in of or len(cases) < 2:
        return ""
    found = paired(np.array([of[way][case]["score"] - of[AGAINST][case]["score"] for case in cases], float))
    return (
        f"{found.mean:+.2f} ({found.low:+.2f} to {found.high:+.2f}), p {found.p:.2g}, {found.better} to {found.worse}"
    )


def _fewer(of: dict[str, dict[str, Any]], way: str, cases: Sequence[str]) -> list[str]:
    return [case for case in cases if of[way][case]["met"] < of["template"][case]["met"]]


def _goals(of: dict[str, dict[str, Any]], ways: Sequence[str], cases: Sequence[str]) -> None:
    """Of each goal: its value's median and quartiles, and in how many cases it is met."""
    names = dict.fromkeys(name for way in ways for case in cases for name in of[way][case]["values"])
    print("\n| goal, median, Gy | " + " | ".join(ways) + " |\n|---|" + "---|" * len(ways))
    for name in names:
        cells = []
        for way in ways:
            own = [of[way][case] for case in cases if name in of[way][case]["values"]]
            met = sum(name not in one["missed"] for one in own)
            cells.append(f"{_spread(_of(own, 'values', name), 1)}, met {met} of {len(own)}")
        print(f"| {name} | " + " | ".join(cells) + " |")


def _targets(of: dict[str, dict[str, Any]], ways: Sequence[str], cases: Sequence[str]) -> None:
    """Each target as it is contoured, not joined with those that are prescribed more."""
    names = dict.fromkeys(name for way in ways for case in cases for name in of[way][case]["d95_gy"])
    print("\n| target, median | " + " | ".join(ways) + " |\n|---|" + "---|" * len(ways))
    for name in names:
        for key, title, digits in (("d95_gy", "D95%, Gy", 1), ("d99_gy", "D99%, Gy", 1), ("homogeneity", "HI", 3)):
            cells = (_spread(_of([of[way][case] for case in cases], key, name), digits) for way in ways)
            print(f"| {name} {title} | " + " | ".join(cells) + " |")


def _of(own: Rows, key: str, name: str) -> Vector:
    return np.array([one[key][name] for one in own if name in one[key]], float)
