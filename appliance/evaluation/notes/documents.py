"""Notes as text with the place of every page: plain text files, PDF files, or text that the caller has."""

from __future__ import annotations

import codecs
import hashlib
import io
import logging
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance.errors import RefusedInput

LARGEST_BYTES = 20_000_000
"""Of one note; chosen, because a longer file is no note."""

MOST_PAGES = 500
MOST_ODD = 0.1
"""Share of NUL characters above which a file is no text; chosen, for UTF-16 without a mark has half."""

PAGE_BREAK = "\n\f\n"

SUFFIXES = (".txt", ".text", ".md", ".pdf")


@dataclass(frozen=True)
class NoteText:
    """A note that is text already, under the name it is cited by."""

    name: str
    text: str


@dataclass(frozen=True)
class Document:
    """page_starts: offset of each page's first character. why: what kept it from being read, '' if nothing did.
    partly: which part has no text to read, '' if none."""

    name: str
    text: str
    page_starts: tuple[int, ...]
    sha256: str
    why: str = ""
    partly: str = ""

    def page_at(self, offset: int) -> int:
        """From 1."""
        return max(1, bisect_right(self.page_starts, offset))


def read_document(source: Path | NoteText) -> Document:
    """The note's text; a PDF without text (a scan), a protected or a broken one comes back empty with its reason.
    Raises RefusedInput where the file is not there, too large, or of another kind."""
    if isinstance(source, NoteText):
        return Document(source.name, source.text, (0,), _sha256(source.text.encode("utf-8")))
    data = _bytes(source)
    if source.suffix.lower() == ".pdf" or data[:5] == b"%PDF-":
        return _pdf(source.name, data)
    text = _decoded(data)
    if text.count("\0") > MOST_ODD * len(text):
        return Document(source.name, "", (0,), _sha256(data), "it is no text; save it as text or PDF")
    return Document(source.name, text.replace("\r\n", "\n").replace("\r", "\n"), (0,), _sha256(data))


def notes_of_folder(folder: Path) -> tuple[Path, ...]:
    """The notes in a case's folder: notes/*.txt, *.md and *.pdf, by name; none where there is no such folder."""
    return tuple(sorted(path for path in (folder / "notes").glob("*") if path.suffix.lower() in SUFFIXES))


def _bytes(path: Path) -> bytes:
    if path.suffix.lower() not in SUFFIXES:
        raise RefusedInput(
            f"{path.name} is no note that can be read; give text ({', '.join(SUFFIXES[:3])}) or PDF files"
        )
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise RefusedInput(f"{path.name} is larger than {LARGEST_BYTES // 1_000_000} MB; give the note alone")
        return path.read_bytes()
    except OSError as error:
        raise RefusedInput(f"{path.name} cannot be read ({error.strerror}); give the path of a note") from error


def _pdf(name: str, data: bytes) -> Document:
    from pypdf import PdfReader

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # what it complains of is said in our own words
    digest = _sha256(data)
    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            return Document(name, "", (0,), digest, "it is protected by a password; save it without one")
        pages, count = [page.extract_text() or "" for page in reader.pages[:MOST_PAGES]], len(reader.pages)
    except Exception as error:  # noqa: BLE001 - a PDF can be broken in more ways than its reader has errors for
        return Document(name, "", (0,), digest, f"the PDF is damaged ({type(error).__name__}); save it again")
    starts, offset = [], 0
    for page in pages:
        starts.append(offset)
        offset += len(page) + len(PAGE_BREAK)
    if not any(page.strip() for page in pages):
        why = "the PDF holds no text, as a scan does not; run it through text recognition, or type what matters"
        return Document(name, "", tuple(starts) or (0,), digest, why)
    return Document(name, PAGE_BREAK.join(pages), tuple(starts), digest, partly=_partly(pages, count))


def _partly(pages: Sequence[str], count: int) -> str:
    """Pages that are scans among others, and those behind the most that are read."""
    blank = [str(number) for number, page in enumerate(pages, 1) if not page.strip()]
    said = [f"page {', '.join(blank)} without text, as of a scan, not read"] if blank else []
    said += [f"pages {len(pages) + 1} to {count} not read"] if count > len(pages) else []
    return "; ".join(said)


def _decoded(data: bytes) -> str:
    """UTF-16 as some editors save it, else UTF-8, else the Windows code page."""
    if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return data.decode("utf-16", errors="replace")
    return data.decode("utf-8-sig") if _is_utf8(data) else data.decode("cp1252", errors="replace")


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
