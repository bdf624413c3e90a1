"""Today's anatomy among a session's files.

today/anatomy.json   how today lies to the reference, what was measured and what changed
today/RS.dcm         today's structure set, where it was made here; today/made.json: as an object of the case
today/REG.dcm, today/DEFORM.dcm   how today lies to the reference, rigid and deformable
today/contours.html  today's contours beside the reference's, to look at
today/edited-N/      the same structure set as a person edited it, the Nth time it was confirmed
today/density.npz    what dose is computed on, where that is not today's image
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace

import numpy as np
from pydantic import TypeAdapter

from appliance.contracts import ExportSet, Image, Received
from appliance.contracts.anatomy import Anatomy, AnatomyReport
from appliance.session_artefacts import Artefacts
from engines.grid import Grid

TODAY = "today"
STRUCTURES, MADE = "RS.dcm", "made.json"
REPORT_FILE, MADE_FILE, DENSITY_FILE = f"{TODAY}/anatomy.json", f"{TODAY}/{MADE}", f"{TODAY}/density.npz"
REGISTRATIONS = (f"{TODAY}/REG.dcm", f"{TODAY}/DEFORM.dcm")
CONTOURS_PAGE = "contours.html"
STRUCTURES_FILE = f"{TODAY}/{STRUCTURES}"
_MADE = TypeAdapter(Received)


def save_anatomy(files: Artefacts, anatomy: Anatomy) -> dict[str, str]:
    """Also records what already lies in today/. Raises DiskFull, WriteFailed."""
    saved = files.save(REPORT_FILE, anatomy.report.to_json())
    if anatomy.structure_set is not None:
        saved |= files.save(MADE_FILE, _MADE.dump_json(anatomy.structure_set, indent=1))
    if anatomy.density is not None:
        saved |= files.save(DENSITY_FILE, _density_bytes(anatomy.density))
    for path in sorted(item for item in (files.folder / TODAY).iterdir() if item.is_file()):
        saved |= files.record_path(path)
    return saved


def edited_folder(number: int) -> str:
    return f"{TODAY}/edited-{number}"


def edits_made(files: Artefacts) -> int:
    """How often today's contours were confirmed after edits."""
    number = 0
    while files.has(f"{edited_folder(number + 1)}/{MADE}"):
        number += 1
    return number


def save_made(files: Artefacts, number: int, made: Received) -> dict[str, str]:
    """A structure set that was written into the folder of edits `number`."""
    saved = files.record_path(made.path)
    return saved | files.save(f"{edited_folder(number)}/{MADE}", _MADE.dump_json(made, indent=1))


def report_of(files: Artefacts) -> AnatomyReport | None:
    """None where today's anatomy did not have to be found. Raises ArtefactAltered."""
    return AnatomyReport.from_json(files.load(REPORT_FILE)) if files.has(REPORT_FILE) else None


def are_made_here(files: Artefacts) -> bool:
    """Today's contours, or the edits of them."""
    return files.has(f"{_folder_now(files)}/{MADE}")


def anatomy_of(files: Artefacts) -> Anatomy | None:
    """As `report_of`, with today's structure set and the density, which takes a while to read."""
    if (report := report_of(files)) is None:
        return None
    made, folder = None, _folder_now(files)
    if files.has(f"{folder}/{MADE}"):
        files.load(f"{folder}/{STRUCTURES}")
        # Where the session's folder lies now: a store may have been moved.
        stored = _MADE.validate_json(files.load(f"{folder}/{MADE}"))
        made = replace(stored, path=files.folder / folder / STRUCTURES)
    density = _density_from(files.load(DENSITY_FILE)) if files.has(DENSITY_FILE) else None
    return Anatomy(report, made, density)


def with_registrations(files: Artefacts, export_set: ExportSet) -> ExportSet:
    """The set and how today lies to the reference, where objects say that. Raises ArtefactAltered."""
    hashes = {
        files.folder / name: hashlib.sha256(files.load(name)).hexdigest() for name in REGISTRATIONS if files.has(name)
    }
    return replace(export_set, registrations=tuple(hashes), registration_sha256=tuple(hashes.values()))


def _folder_now(files: Artefacts) -> str:
    """Where today's structure set lies as it was last confirmed."""
    number = edits_made(files)
    return edited_folder(number) if number else TODAY


def _density_bytes(image: Image) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, hu=image.hu, origin_mm=np.asarray(image.grid.origin_mm), spacing_mm=np.asarray(image.grid.spacing_mm)
    )
    return buffer.getvalue()


def _density_from(data: bytes) -> Image:
    with np.load(io.BytesIO(data), allow_pickle=False) as stored:
        hu = stored["hu"]
        x, y, z = (float(value) for value in stored["origin_mm"])
        dx, dy, dz = (float(value) for value in stored["spacing_mm"])
    return Image(Grid((x, y, z), (dx, dy, dz), hu.shape), hu)
