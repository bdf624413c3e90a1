"""What the action levels of a registration catch and miss, on simulated days with known truth.

    python bench/registration_levels.py --out DIR [--patients 195 49 ...]
    python bench/registration_levels.py --out DIR --report held-out

Per patient: five good days (bumps; weight loss; shrinking tumour with gas that came; all at once; all at once on a
cone-beam CT) and six bad ones: another patient's image; left and right swapped; head and feet swapped; an image that
ends before the target; a rigid start one vertebra (18 mm) off along the spine; a field with errors of up to 12 mm put
into it. Of each every quality measure is kept in DIR/cases.jsonl, with the truth; a case that is there is not run
again. The report applies the levels of appliance/case/today/levels.py and the rules by likeness and missed target
(docs/today.md) to what was kept, each count with its 95 % Wilson interval, and tells which measure caught what; by
what was done to a day, and by the truth: a day was mixed up, or its field is wrong (median error above 2 mm or 95 %
above 5 mm), or right. Patients at even places of the list were used to choose the levels, the others are reported.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from registration_levels_problem import BAD, GOOD, run_case
from registration_problem import patient
from rich.console import Console
from rich.table import Table

from appliance.case.today.levels import measures
from appliance.case.today.likeness import OTHER_BELOW, SURE_MARGIN, UNLIKE_BELOW
from appliance.case.today.modality import Imaging
from appliance.case.today.seen import MISSED_BELOW, WHOLE_ABOVE
from appliance.contracts.anatomy import Verdict
from engines.registration import Likeness, RegistrationQuality

PATIENTS = (195, 49, 166, 108, 16, 86, 164, 197, 137, 171, 70, 118)
REFUSED = "registration refused"
Z_95 = 1.959964
WRONG_MEDIAN_MM, WRONG_95_MM = 2.0, 5.0
"""Error from which a field is wrong: what TG-132 allows on average and at most (Latifi et al., J Appl Clin Med Phys
19(4):125, 2018), the most taken as the 95th percentile of the body (chosen)."""

Told = dict[str, Verdict]


def cases(patients: list[int]) -> Iterator[tuple[int, int, str, str, str]]:
    """(patient, number of the case, scenario, image, kind), good and bad ones of all patients in turn."""
    kinds = [*((scenario, image, "") for scenario, image in GOOD), *(("all", "CT", kind) for kind in BAD)]
    order = [5, 3, 9, 0, 6, 4, 10, 1, 8, 2, 7]
    for place in order:
        for number in patients:
            yield (number, place, *kinds[place])


def run(arguments: argparse.Namespace) -> None:
    out = arguments.out / "cases.jsonl"
    out.parent.mkdir(parents=True, exist_ok=True)
    done = {(row["patient"], row["place"]) for row in read(out)} if out.exists() else set()
    for number, place, scenario, image, kind in cases(arguments.patients):
        if (number, place) in done:
            continue
        following = arguments.patients[(arguments.patients.index(number) + 1) % len(arguments.patients)]
        row = run_case(patient(number), patient(following), scenario, image, kind, 100 * number + place)
        row |= {"patient": number, "place": place, "scenario": scenario, "image": image, "kind": kind}
        with out.open("a") as file:
            file.write(json.dumps(row) + "\n")


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def told(row: dict) -> Told:
    """Verdict of each measure and rule that is not content."""
    found: Told = {}
    if "quality" not in row:
        return {REFUSED: Verdict.STOP}
    kept = row["quality"]
    quality = RegistrationQuality(
        **{
            **kept,
            "body": Likeness(**kept["body"]),
            "organs": {name: Likeness(**one) for name, one in kept["organs"].items()},
        }
    )
    for one in measures(quality):
        if one.verdict is not Verdict.WITHIN and found.get(one.key) is not Verdict.STOP:
            found[one.key] = one.verdict
    own, swapped = row["likeness"]["own"], row["likeness"]["swapped"]
    if swapped - own >= SURE_MARGIN and swapped >= OTHER_BELOW:
        found["day.swapped"] = Verdict.STOP
    elif own < OTHER_BELOW:
        found["day.other-patient"] = Verdict.STOP
    else:
        imaging = Imaging.CBCT if row["image"] == "cone beam" else Imaging.CT
        found |= {"day.unlike": Verdict.LOOK} if own < UNLIKE_BELOW[imaging] else {}
        found |= {"day.unsure-side": Verdict.LOOK} if own - swapped < SURE_MARGIN else {}
    if row["target_shown"] < WHOLE_ABOVE:
        found["day.misses-target"] = Verdict.STOP if row["target_shown"] < MISSED_BELOW else Verdict.LOOK
    return found


def only(found: Told, prefix: str) -> Told:
    return {key: verdict for key, verdict in found.items() if key.startswith(prefix)}


def share(count: int, total: int) -> str:
    """With its Wilson interval (Wilson, J Am Stat Assoc 22:209, 1927)."""
    if total == 0:
        return "none"
    part, z2 = count / total, Z_95**2
    middle = (part + z2 / (2 * total)) / (1 + z2 / total)
    half = Z_95 * math.sqrt(part * (1 - part) / total + z2 / (4 * total**2)) / (1 + z2 / total)
    return f"{count} of {total} ({100 * max(0, middle - half):.0f} to {100 * min(1, middle + half):.0f} %)"


def report(rows: list[dict]) -> None:
    console = Console(width=160)
    tables = {
        "registration. and day.": lambda row: told(row),
        "registration. alone": lambda row: only(told(row), "registration"),
    }
    groups = [(f"good: {scenario}, {image}", "", (scenario, image)) for scenario, image in GOOD]
    groups += [(kind, kind, ("all", "CT")) for kind in BAD]
    for title, verdicts in tables.items():
        table = Table("days", "stopped", "stopped or flagged", "caught by", title=title)
        for name, kind, made in groups:
            own = [row for row in rows if row["kind"] == kind and (row["scenario"], row["image"]) == made]
            table.add_row(name, *_counts([verdicts(row) for row in own]))
        for name in ("mixed up", "field is wrong", "field is right"):
            table.add_row(f"all: {name}", *_counts([verdicts(row) for row in rows if truly(row) == name]))
        console.print(table)


def truly(row: dict) -> str:
    """What a day is: by what was done to it, or by the truth. '' for a start a vertebra off that was put right: a look
    is wanted there, and nothing is wrong."""
    if "truth" not in row:
        return "mixed up"
    if row["truth"]["tre_median_mm"] > WRONG_MEDIAN_MM or row["truth"]["tre_95_mm"] > WRONG_95_MM:
        return "field is wrong"
    return "" if row["kind"] == "wrong vertebra" else "field is right"


def _counts(found: list[Told]) -> tuple[str, str, str]:
    stopped = sum(Verdict.STOP in one.values() for one in found)
    flagged = sum(bool(one) for one in found)
    by = Counter(key.removeprefix("registration.") for one in found for key in one)
    return (
        share(stopped, len(found)),
        share(flagged, len(found)),
        ", ".join(f"{key} {count}" for key, count in by.most_common()),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--patients", type=int, nargs="+", default=list(PATIENTS))
    parser.add_argument("--report", choices=("tuning", "held-out", "all"))
    arguments = parser.parse_args()
    if arguments.report is None:
        run(arguments)
        return
    chosen = {"tuning": PATIENTS[::2], "held-out": PATIENTS[1::2], "all": PATIENTS}[arguments.report]
    report([row for row in read(arguments.out / "cases.jsonl") if row["patient"] in chosen])


if __name__ == "__main__":
    main()
