"""The shipped beam model and the reference doses that lie beside the repository, where they do."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.photon.beam_model import BeamModel, load_beam_model

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def model() -> BeamModel:
    return load_beam_model(ROOT / "models" / "beam" / "generic_6mv.json")


@pytest.fixture(scope="session")
def references() -> Path:
    folder = ROOT.parent / "shared" / "references"
    if not folder.is_dir():
        pytest.skip("the reference doses (../shared/references) are not on this machine")
    return folder
