"""Writes the SHA-256 of a network's new file into models/registry.toml; nothing else of the registry changes.

    python tools/register_model.py NAME FILE [--registry models/registry.toml]

A FILE that lies elsewhere is copied to where the registry says the network lies. It is refused, and nothing is written,
where it is no network or has other tensors than the entry states; state them in the registry first.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from engines.errors import EngineError  # noqa: E402
from engines.runtime import Backend, RuntimeOptions, open_network  # noqa: E402
from engines.runtime.entry import Registered  # noqa: E402
from engines.runtime.registry import SHIPPED, load_registry  # noqa: E402
from engines.runtime.tensors import shape_fits, shown  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description="register a network's new file")
    parser.add_argument("name")
    parser.add_argument("file", type=Path)
    parser.add_argument("--registry", type=Path, default=SHIPPED)
    arguments = parser.parse_args()
    try:
        print(register(arguments.name, arguments.file, arguments.registry))
    except (EngineError, OSError) as error:
        print(f"register_model: {error}", file=sys.stderr)
        return 1
    return 0


def register(name: str, file: Path, path: Path = SHIPPED) -> str:
    """What was done, as a sentence. Raises EngineError where the model is not registered or FILE does not fit it."""
    entry = load_registry(path).entry(name)
    content = file.read_bytes()
    if entry.form == "onnx":
        check_tensors(content, entry)
    place, digest = path.parent / entry.file, hashlib.sha256(content).hexdigest()
    if not entry.package and file.resolve() != place.resolve():
        shutil.copyfile(file, place)
    text = with_digest(path.read_text("utf-8"), name, digest)
    path.write_text(text, "utf-8")
    load_registry(path).verified(name)
    return f"{name}: {entry.sha256[:8]} -> {digest[:8]} ({len(content) / 1e6:.1f} MB) in {path.name}"


def check_tensors(model: bytes, entry: Registered) -> None:
    """Raises EngineError where the file is no network, or its tensors are not those of its entry."""
    network = open_network(model, name=entry.name, options=RuntimeOptions(backends=(Backend.ONNX_CPU,)))
    for what, found, stated in (
        ("inputs", network.inputs, entry.inputs),
        ("outputs", network.outputs, entry.outputs),
    ):
        has = {tensor.name: len(tensor.shape) for tensor in found}
        wanted = {tensor.name: len(tensor.axes) for tensor in stated}
        if has != wanted:
            raise EngineError(
                f"its {what} (name: number of axes) are {has}, those registered for '{entry.name}' {wanted}; change "
                "the entry first if the new ones are meant"
            )
        sizes = {tensor.name: tensor.shape for tensor in found}
        for tensor in stated:
            if tensor.shape and not shape_fits(sizes[tensor.name], tensor.shape):
                raise EngineError(
                    f"its '{tensor.name}' is {shown(sizes[tensor.name])}, that registered for '{entry.name}' "
                    f"{shown(tensor.shape)}; change the entry first if the new one is meant"
                )


def with_digest(text: str, name: str, digest: str) -> str:
    """The registry's text with another SHA-256 in the one entry of that name. Raises EngineError where it has none."""
    parts = re.split(r"(?m)^(?=\[\[model\]\])", text)
    for number, part in enumerate(parts):
        head = part.split("\n[[", 1)[0]
        if re.search(rf'(?m)^name = "{re.escape(name)}"$', head):
            parts[number], count = re.subn(r'(?m)^sha256 = "[0-9a-f]{64}"$', f'sha256 = "{digest}"', part, count=1)
            if count:
                return "".join(parts)
    raise EngineError(f"the entry '{name}' has no line sha256 = \"…\" of its own to rewrite")


if __name__ == "__main__":
    sys.exit(main())
