"""The files of one session. Written whole and durable; read back only if they are what the audit log says they were.

received.json    the objects the case is made of        plan.json, dose.npz    the plan and its dose
reference.json   those of the plan's own day, where they came with today's
today/           today's anatomy, where it was found here (session_anatomy.py)
goals.toml       the goal file, byte for byte           evaluation.json        what the reviewer was shown
attached/        notes and earlier course, as assembled
predicted.npz    the dose that a network expects, where there is one: no dose of a plan
scorecard.json, timeline.json, report.html              for other programs and for people
second-dose.npz  the dose the plan's was compared with  approval.json, export.json, export/*.dcm
scheduled-evaluation.json, scheduled-scorecard.json     the scheduled plan on today's anatomy
trade-offs.json  which goal gave way for which in planning
story.json       how the plan came about, step by step, where the planner told it
working.npz      where planning stood, for a revision to go on from
revision.json    the revision that is planned for (pending-revision.json: that was asked for)
revisions/N/     the version in review before revision N
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import JsonValue, TypeAdapter

from appliance.contracts import (
    STORY_FILE,
    Approval,
    Attachments,
    CalculatedDose,
    Evaluation,
    ExportSet,
    Plan,
    Planned,
    PlanningStory,
    PredictedDose,
    Prediction,
    PriorStated,
    Received,
    TradeOff,
)
from appliance.dicomio.files import link_durable, write_durable
from appliance.errors import ArtefactAltered, DiskFull, SessionError, WriteFailed
from appliance.session_predicted import PREDICTED_FILE, prediction_bytes, prediction_from_bytes
from engines.grid import Grid

STATED = "attached/stated.json"
REFERENCE = "reference.json"
REPORT = "report.html"
_RECEIVED = TypeAdapter(tuple[Received, ...])
_EXPORT_SET = TypeAdapter(ExportSet)
_TRADE_OFFS = TypeAdapter(tuple[TradeOff, ...])


class Artefacts:
    """`known` gives, at any time, each file's SHA-256 (hex) by name as its audit row has it.

    Every reader raises ArtefactAltered where the file is gone or its bytes are not the recorded ones, and every writer
    returns {name: SHA-256} for the row that must follow, or raises DiskFull or WriteFailed.
    """

    def __init__(self, folder: Path, store: Path, known: Callable[[], Mapping[str, str]]) -> None:
        self.folder = folder
        self._store = store
        self._known = known

    def sweep(self) -> None:
        """Takes away unfinished files that a killed process left; none of them was ever recorded."""
        for part in self.folder.rglob(".*.part"):
            part.unlink(missing_ok=True)

    def save(self, name: str, data: bytes) -> dict[str, str]:
        write_durable(data, self.folder / name)
        return {name: hashlib.sha256(data).hexdigest()}

    def record(self, name: str) -> dict[str, str]:
        """For a file that a stage wrote itself."""
        return {name: hashlib.sha256((self.folder / name).read_bytes()).hexdigest()}

    def record_path(self, path: Path) -> dict[str, str]:
        """The same, by the file's place."""
        return self.record(str(path.relative_to(self.folder)))

    def link(self, name: str, to: str) -> dict[str, str]:
        """The same bytes under another name: files are replaced whole and never written in place, so either name may
        get others later. Raises ArtefactAltered."""
        data = self.load(name)
        if not link_durable(self.folder / name, self.folder / to):
            return self.save(to, data)
        return {to: self._known()[name]}

    def within(self, folder: str) -> Artefacts:
        """Those under a folder, by their names in it."""
        start = f"{folder}/"
        return Artefacts(
            self.folder / folder,
            self._store,
            lambda: {n[len(start) :]: sha for n, sha in self._known().items() if n.startswith(start)},
        )

    def take(self, name: str) -> bytes:
        """A file that a stage wrote and nobody recorded; it is gone afterwards."""
        path = self.folder / name
        try:
            return path.read_bytes()
        finally:
            path.unlink(missing_ok=True)

    def load(self, name: str) -> bytes:
        try:
            data = (self.folder / name).read_bytes()
        except OSError as error:
            raise ArtefactAltered(f"{name} cannot be read ({error.strerror})") from error
        if hashlib.sha256(data).hexdigest() != self._known().get(name):
            raise ArtefactAltered(f"{name} is not the one that was recorded")
        return data

    def has(self, name: str) -> bool:
        return name in self._known()

    def save_received(self, received: Sequence[Received], reference: Sequence[Received] = ()) -> dict[str, str]:
        """Paths inside the store are kept relative to it, so that a store may be moved while it is not in use."""
        saved = self.save("received.json", self._listed(received))
        return saved | self.save(REFERENCE, self._listed(reference)) if reference else saved

    def _listed(self, objects: Sequence[Received]) -> bytes:
        inside = tuple(
            replace(item, path=item.path.relative_to(self._store)) if item.path.is_relative_to(self._store) else item
            for item in objects
        )
        return _RECEIVED.dump_json(inside, indent=1)

    def received(self) -> tuple[Received, ...]:
        return self._objects("received.json")

    def reference(self) -> tuple[Received, ...]:
        """Images and structures of the day the plan was made for; none where they did not come with today's."""
        return self._objects(REFERENCE) if self.has(REFERENCE) else ()

    def _objects(self, name: str) -> tuple[Received, ...]:
        stored = _RECEIVED.validate_json(self.load(name))
        return tuple(replace(item, path=self._store / item.path) for item in stored)

    def save_attachments(self, attached: Attachments) -> dict[str, str]:
        """Copies, so that what was judged stays what was judged."""
        saved: dict[str, str] = {}
        for kind, paths in (("notes", attached.notes), ("prior", attached.prior)):
            for path in paths:
                saved |= self.save(f"attached/{kind}/{path.name}", _bytes_of(path))
        if attached.prior:
            saved |= self.save(STATED, attached.stated.to_json())
        return saved

    def attachments(self) -> Attachments:
        """The session's own copies."""
        names = sorted(name for name in self._known() if name.startswith("attached/"))
        for name in names:
            self.load(name)
        notes, prior = (
            tuple(self.folder / name for name in names if name.split("/")[1] == kind) for kind in ("notes", "prior")
        )
        return Attachments(notes, prior, PriorStated.from_json(self.load(STATED)) if STATED in names else PriorStated())

    def save_prediction(self, prediction: Prediction) -> dict[str, str]:
        return {} if prediction.dose is None else self.save(PREDICTED_FILE, prediction_bytes(prediction.dose))

    def predicted(self) -> PredictedDose | None:
        """None where there was no prediction; the session's notes say why."""
        return prediction_from_bytes(self.load(PREDICTED_FILE)) if self.has(PREDICTED_FILE) else None

    def save_plan(self, plan: Plan, dose: CalculatedDose) -> dict[str, str]:
        return self.save("plan.json", plan.to_json()) | self.save("dose.npz", _dose_bytes(dose))

    def save_planned(self, made: Planned) -> dict[str, str]:
        """Plan, dose, what gave way for what, how it came about, and where a planner may go on."""
        saved = self.save_plan(made.plan, made.dose) | self.save_trade_offs(made.trade_offs)
        saved |= self.save_story(made.story)
        return saved if made.working is None else saved | self.save("working.npz", made.working.to_bytes())

    def save_second_dose(self, dose: CalculatedDose) -> dict[str, str]:
        return self.save("second-dose.npz", _dose_bytes(dose))

    def second_dose(self) -> CalculatedDose | None:
        """The independent dose that the plan's was compared with, where there was one."""
        return _dose_from_bytes(self.load("second-dose.npz")) if self.has("second-dose.npz") else None

    def save_trade_offs(self, trade_offs: tuple[TradeOff, ...]) -> dict[str, str]:
        """Also where there are none, so that those of an earlier try do not stay."""
        return self.save("trade-offs.json", _TRADE_OFFS.dump_json(trade_offs, indent=1))

    def trade_offs(self) -> tuple[TradeOff, ...]:
        """What planning said of goals against goals; empty where all are met."""
        name = "trade-offs.json"
        return _TRADE_OFFS.validate_json(self.load(name)) if self.has(name) else ()

    def save_story(self, story: PlanningStory | None) -> dict[str, str]:
        return {} if story is None else self.save(STORY_FILE, story.to_json())

    def story(self) -> PlanningStory | None:
        """None where none was told: a plan of an earlier release, or of a planner that tells nothing."""
        return PlanningStory.from_json(self.load(STORY_FILE)) if self.has(STORY_FILE) else None

    def plan(self) -> Plan:
        return Plan.from_json(self.load("plan.json"))

    def dose(self) -> CalculatedDose:
        return _dose_from_bytes(self.load("dose.npz"))

    def save_evaluation(self, evaluation: Evaluation, scorecard: Mapping[str, JsonValue]) -> dict[str, str]:
        return self.save("evaluation.json", evaluation.to_json()) | self.save("scorecard.json", as_json(scorecard))

    def save_scheduled(self, evaluation: Evaluation, scorecard: Mapping[str, JsonValue]) -> dict[str, str]:
        return self.save("scheduled-evaluation.json", evaluation.to_json()) | self.save(
            "scheduled-scorecard.json", as_json(scorecard)
        )

    def scheduled(self) -> Evaluation | None:
        """The scheduled plan judged on today's anatomy, where there is one."""
        name = "scheduled-evaluation.json"
        return Evaluation.from_json(self.load(name)) if self.has(name) else None

    def evaluation(self) -> Evaluation:
        return Evaluation.from_json(self.load("evaluation.json"))

    def approval(self) -> Approval:
        return Approval.from_json(self.load("approval.json"))

    def fresh_folder(self, name: str) -> Path:
        """An empty folder, such as export/: what an interrupted writing left there was never recorded, so never
        sent."""
        folder = self.folder / name
        try:
            if folder.exists():
                shutil.rmtree(folder)
            folder.mkdir(parents=True, mode=0o700)
        except OSError as error:
            raise _failure(error, folder) from error
        return folder

    def save_export_set(self, export_set: ExportSet) -> dict[str, str]:
        """Records the set and, through it, each DICOM file's own hash."""
        relative = replace(
            export_set,
            plan=export_set.plan.relative_to(self.folder),
            doses=tuple(path.relative_to(self.folder) for path in export_set.doses),
            structures=export_set.structures.relative_to(self.folder),
            documents=tuple(path.relative_to(self.folder) for path in export_set.documents),
            registrations=tuple(path.relative_to(self.folder) for path in export_set.registrations),
        )
        hashes = {
            str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in export_set.files
        }
        return self.save("export.json", _EXPORT_SET.dump_json(relative, indent=1)) | hashes

    def export_set(self) -> ExportSet:
        stored = _EXPORT_SET.validate_json(self.load("export.json"))
        for path in stored.files:
            self.load(str(path))
        return replace(
            stored,
            plan=self.folder / stored.plan,
            doses=tuple(self.folder / path for path in stored.doses),
            structures=self.folder / stored.structures,
            documents=tuple(self.folder / path for path in stored.documents),
            registrations=tuple(self.folder / path for path in stored.registrations),
        )


def as_json(document: Mapping[str, JsonValue]) -> bytes:
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _dose_bytes(dose: CalculatedDose) -> bytes:
    """Not compressed: packing a full-size dose takes longer than writing it. Raises SessionError for a prediction: it
    is kept in a file of its own, and no approval is bound to that."""
    if not isinstance(dose, CalculatedDose):
        raise SessionError("A predicted dose cannot be kept as the dose of a plan; calculate the plan's dose")
    arrays: dict[str, Any] = {f"beam_{index}": array for index, array in enumerate(dose.beam_dose_gy)}
    arrays |= {"origin_mm": np.asarray(dose.grid.origin_mm), "spacing_mm": np.asarray(dose.grid.spacing_mm)}
    names = [dose.plan_digest, dose.algorithm, dose.beam_model, dose.dose_to, dose.transport]
    arrays |= {"dose_gy": dose.dose_gy, "text": np.asarray(names), "notes": np.asarray(dose.notes, np.str_)}
    arrays |= {"density_overridden": np.asarray(dose.density_overridden)}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _dose_from_bytes(data: bytes) -> CalculatedDose:
    with np.load(io.BytesIO(data), allow_pickle=False) as stored:
        dose_gy = stored["dose_gy"]
        plan_digest, algorithm, beam_model, dose_to, transport = (str(text) for text in stored["text"])
        notes, overridden = tuple(str(note) for note in stored["notes"]), bool(stored["density_overridden"])
        x, y, z = (float(value) for value in stored["origin_mm"])
        dx, dy, dz = (float(value) for value in stored["spacing_mm"])
        beams = tuple(stored[f"beam_{index}"] for index in range(sum(name.startswith("beam_") for name in stored)))
    grid = Grid((x, y, z), (dx, dy, dz), dose_gy.shape)
    return CalculatedDose(
        grid,
        dose_gy,
        plan_digest,
        algorithm,
        beam_model,
        beams,
        dose_to="medium" if dose_to == "medium" else "water",
        transport=transport,
        density_overridden=overridden,
        notes=notes,
    )


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtefactAltered(f"the attached {path.name} cannot be read ({error.strerror})") from error


def _failure(error: OSError, path: Path) -> DiskFull | WriteFailed:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f"{path} cannot be written")
    return WriteFailed(f"{path} ({error.strerror})")
