"""Whose contours of organs are nearer the truth: a segmentation network's, or those carried from the reference?

    python bench/segmented_or_propagated.py --out DIR [--network models/organs/organs.toml] [--patients 201 202 ...]
    python bench/segmented_or_propagated.py --out DIR --report

Reference: OpenKBP validation patients, which the network never saw. Today: their CT read through a known motion with
everything at once (`all` of appliance/builtin/daily_scenarios.py), with noise, and as a cone-beam CT would show it,
brought to Hounsfield units as the product does. Truth: the drawn organs through that motion. Propagated: registered
and carried as appliance/case/today does it. Segmented: the network on the same image, within the body. Both are
compared with the truth on today's voxels, within the body: some of OpenKBP's cords are drawn on beyond it, where the
image holds nothing. Of an organ that the network's file calls partial, the slices in which the truth lies are compared.
Where nothing was found Dice is 0 and there is no distance.

What is kept in DIR/rows.jsonl is not run again; what a network of other weights said stays beside it. The report is of
the network's present weights: for each organ and image means, and the paired difference network less propagation with
its 95 % bootstrap interval over patients; then what the network's file states of it ([[comparison]]), by which
`[anatomy] segmented` is allowed.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from registration_problem import OPENKBP, SimulatedDay, patient, simulated
from rich.console import Console

from appliance.builtin.cases import kind_of
from appliance.builtin.daily import AIR_HU
from appliance.case.today.propagate import carried
from appliance.contracts import Image, Structure
from appliance.errors import RefusedObject
from appliance.evaluation.image_context import SegmentationNetwork, load_network, segment_image
from engines.calibration import rough, soft_peak
from engines.grid import VoxelSet
from engines.overlap import dice
from engines.registration import register_deformable, register_rigid
from engines.segmentation import surface_distance_95_mm
from engines.statistics import paired
from models.organs.data import ORGANS

NETWORK = Path(__file__).resolve().parents[1] / "models" / "organs" / "organs.toml"
KINDS = {"CT": "CT", "cone beam": "CBCT"}
"""Images of registration_problem.py, and what a network's file calls them."""
PROPAGATED = "propagated"
Row = dict[str, object]
Found = dict[str, VoxelSet]


def validation_patients() -> list[int]:
    return sorted(int(file.stem.removeprefix("pt_")) for file in (OPENKBP / "valid").glob("pt_*.npz"))


def day_of(number: int, image: str) -> SimulatedDay:
    """Raises RefusedObject for a patient without a CT."""
    reference = patient(number)
    day = simulated(reference, "all", image, 100 * number + list(KINDS).index(image))
    if KINDS[image] != "CBCT":
        return day
    curve = rough(day.fixed.hu, soft_peak(reference.hu, reference.masks["External"]))
    return replace(day, fixed=replace(day.fixed, hu=curve.hu(day.fixed.hu).astype(np.float32)))


def propagated(day: SimulatedDay) -> Found:
    start = register_rigid(day.fixed.hu, day.fixed.grid, day.moving.hu, day.moving.grid)
    field = register_deformable(day.fixed, day.moving, start=start)
    drawn = [
        Structure(number, name, name, kind_of(name), (), VoxelSet.from_dense(mask.astype(np.float32)))
        for number, (name, mask) in enumerate(day.reference.masks.items(), start=1)
        if name in ORGANS
    ]
    body = VoxelSet.from_dense(day.fixed.body.astype(np.float32))
    done = carried(drawn, day.moving.grid, day.fixed.grid, body, lambda _: field)
    return {item.tg263: item.voxels for item in done.structures}


def segmented(day: SimulatedDay, network: SegmentationNetwork) -> Found:
    body = VoxelSet.from_dense(day.fixed.body.astype(np.float32))
    hu = np.rint(np.where(day.fixed.body, day.fixed.hu, AIR_HU)).astype(np.int16)
    seen = segment_image(Image(day.fixed.grid, hu), body, network, threads=1)
    return {name: voxels.intersection(body) for name, voxels in seen.items()}


def figures(day: SimulatedDay, found: Found, names: list[str], partial: frozenset[str]) -> dict[str, list[float]]:
    """[Dice, 95 % distance in mm] of each organ that is drawn within the body of today; Dice alone where nothing
    was found."""
    grid, told = day.anatomy.grid, {}
    for name in names:
        true = day.anatomy.masks.get(name)
        if true is None or not (true := true & day.fixed.body).any():
            continue
        mine = found[name].mask(grid.shape) if name in found else np.zeros(grid.shape, np.bool_)
        if name in partial:
            held = np.flatnonzero(true.any(axis=(1, 2)))
            true, mine = (mask[held[0] : held[-1] + 1] for mask in (true, mine))
        told[name] = [dice(mine, true)]
        if mine.any():
            x, y, z = grid.spacing_mm
            told[name].append(surface_distance_95_mm(mine, true, (z, y, x)))
    return told


def run(asked: argparse.Namespace, network: SegmentationNetwork) -> None:
    asked.out.mkdir(parents=True, exist_ok=True)
    names = [name for _, name in network.spec.labels]
    ways = {PROPAGATED: propagated, network.sha256: lambda day: segmented(day, network)}
    done = {(row["patient"], row["image"], row["way"]) for row in read(asked.out)}
    for number in asked.patients:
        for image in KINDS:
            wanted = [way for way in ways if (number, image, way) not in done]
            try:
                day = day_of(number, image) if wanted else None
            except RefusedObject as refusal:
                print(f"{number}: {refusal}")  # some patients of the challenge come without a CT
                break
            for way in wanted:
                began = time.process_time()
                found = ways[way](day)
                cpu_s = time.process_time() - began
                told = figures(day, found, names, network.partial)
                row = {"patient": number, "image": image, "way": way, "organs": told, "cpu_s": round(cpu_s, 2)}
                with (asked.out / "rows.jsonl").open("a") as file:
                    file.write(json.dumps(row) + "\n")


def read(out: Path) -> list[Row]:
    file = out / "rows.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []


def both(rows: list[Row], image: str, name: str, sha256: str) -> Iterator[tuple[list[float], list[float]]]:
    """Figures of the network and of propagation, of every day that has both."""
    told = {(row["patient"], row["way"]): row["organs"] for row in rows if row["image"] == image}
    for number, way in sorted(told):
        mine = told.get((number, sha256), {}).get(name)
        if way == PROPAGATED and mine is not None and name in told[number, way]:
            yield mine, told[number, way][name]


def report(rows: list[Row], network: SegmentationNetwork) -> None:
    say = Console(width=120, highlight=False, soft_wrap=True).print
    say("| organ | image | days | Dice, network | propagated | less | 95 % distance, mm | propagated | less |")
    say("|---|---|---|---|---|---|---|---|---|")
    stated = []
    for name in (name for _, name in network.spec.labels):
        for image, kind in KINDS.items():
            pairs = list(both(rows, image, name, network.sha256))
            seen = [pair for pair in pairs if min(map(len, pair)) == 2]
            if len(seen) < 2:
                continue
            mine, other = (np.array([pair[side][0] for pair in pairs]) for side in (0, 1))
            found = paired(mine - other)
            far = np.array([[one[1] for one in pair] for pair in seen])
            added = paired(far[:, 0] - far[:, 1])
            cells = (
                f"{mine.mean():.3f}",
                f"{other.mean():.3f}",
                f"{found.mean:+.3f} ({found.low:+.3f} to {found.high:+.3f})",
                f"{far[:, 0].mean():.1f}",
                f"{far[:, 1].mean():.1f}",
                f"{added.mean:+.1f} ({added.low:+.1f} to {added.high:+.1f})",
            )
            say(f"| {name} | {image} | {len(pairs)} | {' | '.join(cells)} |")
            stated.append(
                f'[[comparison]]\norgan = "{name}"\nimage = "{kind}"\ndays = {len(pairs)}\n'
                f"dice_gain = [{found.low:.3f}, {found.high:.3f}]\n"
                f"distance_added_mm = [{added.low:.1f}, {added.high:.1f}]\n"
            )
    for way in (PROPAGATED, network.sha256):
        spent = [row["cpu_s"] for row in rows if row["way"] == way]
        say(f"{way[:10]}: {np.median(spent) if spent else 0:.1f} CPU s a day, median of {len(spent)}")
    say("\nFor the network's file, the first line beside sha256:\n")
    say(f'compared_sha256 = "{network.sha256}"\n')
    say("\n".join(stated), markup=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--network", type=Path, default=NETWORK)
    parser.add_argument("--patients", type=int, nargs="+", default=validation_patients())
    parser.add_argument("--report", action="store_true")
    asked = parser.parse_args()
    network = load_network(asked.network, ORGANS)
    if asked.report:
        report(read(asked.out), network)
    else:
        run(asked, network)


if __name__ == "__main__":
    main()
