"""Every shipped machine with a beam for it: what plans of the machine tests are made with."""

from __future__ import annotations

import json
import re
from pathlib import Path

from appliance.planning.beam_models import BEAM_MODELS
from appliance.planning.machine import MACHINES, load_machine, machine_names

PAIRS = [(name, technique) for name in machine_names() for technique in load_machine(name).techniques]
"""Every machine with each technique that its file names."""
FAR = "mr_ring160"


def beam_for(machine: str, folder: Path) -> str:
    """A shipped beam model of the machine's quality; for the one without, a made-up one in `folder`."""
    if load_machine(machine).name == FAR:
        return str(standin(folder))
    return "couchside_6mv_fff" if load_machine(machine).fluence_mode == "FFF" else "couchside_6mv"


def standin(folder: Path) -> Path:
    """A beam for geometry, not for dose: 6 MV FFF named 7 MV and put 1435 mm from the axis."""
    content = json.loads((BEAM_MODELS / "couchside_6mv_fff.json").read_text("utf-8"))
    further_mm = load_machine(FAR).sad_mm - content["sad_mm"]
    content |= {"name": "standin_7mv_fff", "energy_mv": 7.0, "sad_mm": load_machine(FAR).sad_mm}
    content["reference"]["ssd_mm"] += further_mm
    for kernel in content["kernels"]:
        kernel["ssd_mm"] += further_mm
    path = folder / "standin_7mv_fff.json"
    path.write_text(json.dumps(content), "utf-8")
    return path


def with_every_technique(machine: str, folder: Path) -> str:
    """The machine's file with all techniques allowed."""
    content = (MACHINES / f"{machine}.toml").read_text("utf-8")
    every = 'techniques = ["step_and_shoot", "sliding_window", "vmat"]'
    path = folder / f"{machine}.toml"
    path.write_text(re.sub(r"^techniques = \[.*\]$", every, content, count=1, flags=re.M), "utf-8")
    return str(path)
