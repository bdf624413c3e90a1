"""pyRadPlan behind our interface: an outside planning system that the virtual planner steers like its own.

It runs as a child process in its own environment (peer_pyradplan_env.sh makes it, peer_pyradplan_server.py is the
child; peer_wire.py says what they tell each other). It gets image, body, targets and beams on a coarse grid, and for
each call objectives; it answers with its dose. Goals, points of curves and the hottest 0.1 cc are taken from that dose
with the same formulas as for our planning system, on every voxel of the coarse grid, so that what the planner sees of
both means the same. Bench and test only: nothing of the product imports it.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from peer_wire import Arrays, Message, NotAMessage, packed, unpacked

from appliance.config import PlanningConfig
from appliance.contracts import Case, GoalSet, Objective, Objectives, PlanningState, StructureKind
from appliance.contracts.sampled import Found, goal_values, hottest_gy
from appliance.errors import PlanningError, PlanningSystemFailed, PlanningSystemHung
from appliance.planning.geometry import isocentre_of, planned_gantry_deg
from appliance.planning.merit import doses_at
from appliance.planning.offered import offered_objectives
from appliance.planning.regions import region
from appliance.planning.template import initial_objectives
from engines.grid import Grid, VoxelSet

HERE = Path(__file__).resolve().parent
PEER_PYTHON = HERE / ".venv-pyradplan" / "bin" / "python"
PEER = (str(PEER_PYTHON), str(HERE / "peer_pyradplan_server.py"))
LAST_WORDS = 300
"""Characters of what the child said last that an error repeats."""


@dataclass(frozen=True)
class Effort:
    """grid_mm: image and dose grid, in whole voxels of the case's image. first: iterations of a call from the TPS's own
    beginning; further: of each warm one (both chosen: it begins from no fluence at all, and forgets its estimate of the
    curvature between calls). start_s, call_s: what it may take to take in the case (its matrix is computed then) and to
    answer a call."""

    grid_mm: float = 6.0
    first: int = 100
    further: int = 30
    start_s: float = 600.0
    call_s: float = 120.0


class Child:
    """A process that answers messages on its pipes. Every failure to answer ends it; it is not started again, because
    a new one would begin from elsewhere."""

    def __init__(self, command: Sequence[str]) -> None:
        """Raises PlanningSystemFailed where the command cannot be run."""
        self._said = tempfile.TemporaryFile(prefix="couchside-peer-")  # noqa: SIM115 - closed with the process
        try:
            self._process = subprocess.Popen(
                list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, bufsize=0
            )
        except OSError as error:
            self._said.close()
            raise PlanningSystemFailed(f"{command[0]} cannot be run: {error.strerror}") from error
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._into, self._from = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._into, False)

    def ask(self, message: Mapping[str, Any], arrays: Arrays, within_s: float) -> tuple[Message, Arrays]:
        """Raises PlanningSystemHung where the answer does not come in time, PlanningSystemFailed where the process ends
        or says something else than a message."""
        if self._process.stdin is None or self._process.stdin.closed:
            raise PlanningSystemFailed("it has ended before")
        deadline = time.monotonic() + within_s
        try:
            self._send(packed(message, arrays), deadline)
            return unpacked(lambda size: self._read(size, deadline))
        except TimeoutError as error:
            self.close()
            raise PlanningSystemHung(f"no answer to '{message['ask']}' within {within_s:g} s") from error
        except NotAMessage as error:
            self.close()
            raise PlanningSystemFailed(f"its answer to '{message['ask']}' is no message: {error}") from error
        except (EOFError, BrokenPipeError) as error:
            raise PlanningSystemFailed(f"it ended at '{message['ask']}': {self._last_words()}") from error

    def close(self) -> None:
        """Ends the process. Harmless where it has ended."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._said):
            if pipe is not None:
                pipe.close()

    def _send(self, data: bytes, deadline: float) -> None:
        left = memoryview(data)
        while left:
            _, ready, _ = select.select([], [self._into], [], max(deadline - time.monotonic(), 0.0))
            if not ready:
                raise TimeoutError
            left = left[os.write(self._into, left) :]

    def _read(self, size: int, deadline: float) -> bytes:
        data = bytearray()
        while len(data) < size:
            ready, _, _ = select.select([self._from], [], [], max(deadline - time.monotonic(), 0.0))
            if not ready:
                raise TimeoutError
            part = os.read(self._from, size - len(data))
            if not part:
                raise EOFError
            data += part
        return bytes(data)

    def _last_words(self) -> str:
        """The last line that the process wrote as an error, after it has closed its pipe; ends it."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)  # so that the exit code is its own
        self._said.seek(0)
        lines = self._said.read().decode("utf-8", "replace").strip().splitlines()
        self.close()
        return lines[-1][-LAST_WORDS:] if lines else f"exit code {self._process.returncode}, and no reason given"


class CoarseRegions:
    """Named regions on whole blocks of the image's voxels: those at least half inside, each with its whole volume,
    because the peer knows voxels inside and outside only."""

    def __init__(self, case: Case, grid_mm: float) -> None:
        self._case = case
        fine = case.image.grid
        self._steps = tuple(max(1, round(grid_mm / spacing)) for spacing in fine.spacing_mm)
        spacing = tuple(step * d for step, d in zip(self._steps, fine.spacing_mm, strict=True))
        origin = tuple(
            at + (step - 1) * d / 2
            for at, step, d in zip(fine.origin_mm, self._steps, fine.spacing_mm, strict=True)
        )  # fmt: skip
        shape = tuple(-(-n // step) for n, step in zip(fine.shape, self._steps[::-1], strict=True))
        self.grid = Grid(origin, spacing, shape)
        self._known: dict[str, Found | None] = {}

    def averaged(self, values: NDArray[Any], outside: float) -> NDArray[np.float32]:
        """Means (z, y, x) over blocks; the image continued with `outside`."""
        steps, shape = self._steps[::-1], self.grid.shape
        beyond = [(0, n * step - have) for n, step, have in zip(shape, steps, values.shape, strict=True)]
        blocks = np.pad(values.astype(np.float32), beyond, constant_values=outside)
        split = [size for n, step in zip(shape, steps, strict=True) for size in (n, step)]
        return blocks.reshape(split).mean(axis=(1, 3, 5))

    def mask(self, voxels: VoxelSet) -> NDArray[np.bool_]:
        return self.averaged(voxels.dense(self._case.image.grid.shape), 0.0) >= 0.5

    def get(self, expression: str) -> Found | None:
        """(flat positions in the coarse grid, volume in cc of each), or None where nothing of it is there."""
        if expression not in self._known:
            voxels = region(self._case, expression)
            index = np.zeros(0, np.int64) if voxels is None else np.flatnonzero(self.mask(voxels))
            volume = np.full(index.size, self.grid.voxel_volume_cc, np.float32)
            self._known[expression] = (index, volume) if index.size else None
        return self._known[expression]


class PyRadPlanTps:
    """Implements contracts.SteerableTps. What of the template and of what is offered the peer has no objective for is
    left out and named in `left_out`. cpu_s: what the peer says its calls took so far.

    command: the child, for tests another than the peer. Raises PlanningError for a case without a target,
    PlanningSystemFailed and PlanningSystemHung as `Child`."""

    def __init__(
        self, case: Case, goal_set: GoalSet, *, effort: Effort | None = None, command: Sequence[str] = PEER
    ) -> None:
        self.case, self.goal_set, self.effort = case, goal_set, effort or Effort()
        self._regions = CoarseRegions(case, self.effort.grid_mm)
        self._dose = np.zeros(self._regions.grid.size, np.float32)
        self._told: set[str] = set()
        self._warm = False
        self.cpu_s = 0.0
        message, arrays = self._hand_over()
        self._child = Child(command)
        answer, _ = self._child.ask(message, arrays, self.effort.start_s)
        kinds = answer.get("kinds")
        if not isinstance(kinds, list):
            self._child.close()
            raise PlanningSystemFailed("it does not say what objectives it has")
        self._kinds = frozenset(kinds)
        every = initial_objectives(case, goal_set) + offered_objectives(case, goal_set)
        self.left_out: Objectives = tuple(one for one in every if not self._can(one))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._child.close()

    def initial_objectives(self) -> Objectives:
        return tuple(one for one in initial_objectives(self.case, self.goal_set) if self._can(one))

    def offered_objectives(self) -> Objectives:
        return tuple(one for one in offered_objectives(self.case, self.goal_set) if self._can(one))

    def optimise_fluence(self, objectives: Objectives) -> PlanningState:
        """Raises PlanningError for objectives that the peer cannot be told or that have no voxel, and as `Child`."""
        for one in objectives:
            if not self._can(one):
                raise PlanningError(f"pyRadPlan has no objective '{one.kind.value}' as it is asked for")
        wanted = [one for one in objectives if one.weight > 0 and self._regions.get(one.structure) is not None]
        if not wanted:
            raise PlanningError("no objective has any voxel in this case")
        answer, arrays = self._child.ask(self._asked(wanted), self._untold(wanted), self.effort.call_s)
        self._told |= {one.structure for one in wanted}
        self._take(answer, arrays)
        self._warm = True
        values = goal_values(self.goal_set.goals, self._regions, self._dose)
        hottest = hottest_gy(self._regions, self.case.external.tg263, self._dose)
        return PlanningState(values, float(answer["merit"]), hottest, int(answer["iterations"]), "fluence")

    def doses_at(self, structure: str, volumes_percent: tuple[float, ...]) -> tuple[float, ...]:
        return doses_at(self._regions, self._dose, structure, volumes_percent)

    def modulation(self) -> float:
        """NaN: the peer's weights of beamlets are in a unit of its own machine file, not in monitor units."""
        return math.nan

    def forget(self) -> None:
        self._warm = False

    def _can(self, objective: Objective) -> bool:
        return objective.kind.value in self._kinds

    def _hand_over(self) -> tuple[Message, Arrays]:
        """The case as the peer gets it. Its gantry angles are IEC 61217 as ours where the patient lies head first and
        supine; raises PlanningError for another position."""
        if self.case.patient_position != "HFS":
            raise PlanningError("the outside planning system is told of patients who lie head first and supine only")
        regions, targets = self._regions, np.zeros(self._regions.grid.shape, np.bool_)
        for structure in self.case.structures:
            if structure.kind is StructureKind.TARGET:
                targets |= regions.mask(structure.voxels)
        message = {
            "ask": "case",
            "gantry_deg": planned_gantry_deg(self.case, self.goal_set, PlanningConfig()),
            "isocentre_mm": isocentre_of(self.case),
            "origin_mm": regions.grid.origin_mm,
            "spacing_mm": regions.grid.spacing_mm,
        }
        hu = np.rint(regions.averaged(self.case.image.hu, -1000.0)).astype(np.int16)
        return message, {"hu": hu, "body": regions.mask(self.case.external.voxels), "target": targets}

    def _asked(self, wanted: Sequence[Objective]) -> Message:
        return {
            "ask": "optimise",
            "warm": self._warm,
            "iterations": self.effort.further if self._warm else self.effort.first,
            "objectives": [
                {
                    "region": one.structure, "kind": one.kind.value, "dose_gy": one.dose_gy, "weight": one.weight,
                    "volume_percent": one.volume_percent,
                }
                for one in wanted
            ],
        }  # fmt: skip

    def _untold(self, wanted: Sequence[Objective]) -> Arrays:
        found = {one.structure: self._regions.get(one.structure) for one in wanted if one.structure not in self._told}
        return {name: voxels[0] for name, voxels in found.items() if voxels is not None}

    def _take(self, answer: Message, arrays: Arrays) -> None:
        """Keeps the dose; raises PlanningSystemFailed for an answer that is none."""
        dose, shape = arrays.get("dose_gy"), self._regions.grid.shape
        numbers = [answer.get(key) for key in ("merit", "iterations", "cpu_s")]
        if dose is None or dose.shape != shape or not np.isfinite(dose).all():
            raise PlanningSystemFailed(f"it gave no dose of {shape} finite numbers")
        if not all(isinstance(number, int | float) and math.isfinite(number) for number in numbers):
            raise PlanningSystemFailed("it gave a merit, iterations or seconds that are no numbers")
        self._dose = np.asarray(dose, np.float32).ravel()
        self.cpu_s += float(answer["cpu_s"])
