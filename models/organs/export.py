"""Writes trained weights as ONNX, weights in float16, and their SHA-256 into the network's TOML file.

    python -m models.organs.export OUT/weights.pt models/organs/organs.toml
    python tools/register_model.py organs models/organs/organs.onnx

The file's input is `image` (1, 1, superior, posterior, left), sides free multiples of 8; its output `logits`, a channel
for each organ. The arithmetic is float32, as in models/dose/export.py.
"""

from __future__ import annotations

import argparse
import hashlib
import re
from pathlib import Path

import torch

from models.dose.console import say
from models.dose.export import OPSET, half_rounded, halve_weights

from .network import OrganNetwork, Shape


def write_onnx(network: OrganNetwork, path: Path) -> None:
    """In place of `path`; the network's weights are rounded to float16. Needs the package onnx."""
    network = network.float().cpu().eval().to(memory_format=torch.contiguous_format)
    half_rounded(network)
    side = 4 * 2 ** len(network.shape.channels)
    free = dict(zip((2, 3, 4), ("superior", "posterior", "left"), strict=True))
    torch.onnx.export(
        network, (torch.zeros(1, 1, side, side, side),), str(path), opset_version=OPSET, input_names=["image"],
        output_names=["logits"], dynamic_axes={"image": free, "logits": free}, dynamo=False,
    )  # fmt: skip
    halve_weights(path)


def network_of(path: Path) -> OrganNetwork:
    """The network of a weights.pt of train.py."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    network = OrganNetwork(Shape(tuple(state["shape"]["channels"]), state["shape"]["head"]))
    network.load_state_dict(state["weights"])
    return network.eval()


def with_digest(text: str, digest: str) -> str:
    """A network's TOML text with another SHA-256. Raises ValueError where it has no such line."""
    changed, count = re.subn(r'(?m)^sha256 = "[0-9a-f]{64}"', f'sha256 = "{digest}"', text, count=1)
    if not count:
        raise ValueError('the network\'s file has no line sha256 = "…" to rewrite')
    return changed


def main() -> None:
    parser = argparse.ArgumentParser(description="Writes trained weights as ONNX.")
    parser.add_argument("weights", type=Path)
    parser.add_argument("network", type=Path, help="TOML file; the ONNX file is written beside it")
    asked = parser.parse_args()
    path = asked.network.with_suffix(".onnx")
    write_onnx(network_of(asked.weights), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    asked.network.write_text(with_digest(asked.network.read_text("utf-8"), digest), "utf-8")
    say(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB, {digest}")


if __name__ == "__main__":
    main()
