"""docs/couchside.example.toml names every configuration key, no other, and gives each its default value."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

from appliance.config import Config
from tools.house.report import Report

EXAMPLE = "docs/couchside.example.toml"
_OFF = re.compile(r"^# (?=[a-z_]+ = )", re.MULTILINE)
"""A key that is off by default is written as a comment, '# key = value': it counts as named."""


def keys(text: str) -> set[str]:
    """'section.key' of every key, those that are commented out included."""
    sections = tomllib.loads(_OFF.sub("", text))
    return {f"{section}.{key}" for section, values in sections.items() for key in values}


def check(root: Path, report: Report) -> None:
    path = root / EXAMPLE
    if not path.exists():
        report.broken.append(f"{EXAMPLE} is missing")
        return
    text = path.read_text("utf-8")
    wanted = {f"{section}.{key}" for section, values in Config().model_dump().items() for key in values}
    report.broken.extend(f"{EXAMPLE} does not name '{key}'" for key in sorted(wanted - keys(text)))
    report.broken.extend(
        f"{EXAMPLE} names '{key}', which is no configuration key" for key in sorted(keys(text) - wanted)
    )
    loaded = Config.model_validate(tomllib.loads(text)).model_dump(mode="json")
    default = Config().model_dump(mode="json")
    for section, values in default.items():
        for key, value in values.items():
            if loaded[section][key] != value:
                report.broken.append(
                    f"{EXAMPLE}: {section}.{key} is {json.dumps(loaded[section][key])}, the default {json.dumps(value)}"
                )
