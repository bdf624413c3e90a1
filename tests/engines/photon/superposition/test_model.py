"""The superposition section of a beam model file: written, read back, and refused where it cannot be of a beam."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from engines.errors import EngineError
from engines.photon.beam_model import load_beam_model, save_beam_model
from engines.photon.superposition.model import Contamination, ExtraFocal

from .cases import point_source

HEAD = ExtraFocal(weight=0.08, sigma_mm=25.0, distance_mm=125.0, collimator_mm=450.0)
ELECTRONS = Contamination(weight=0.1, attenuation_per_mm=0.07, sigma_mm=60.0)


def test_what_is_written_is_read_back(model, tmp_path):
    section = point_source(extra_focal=HEAD, contamination=ELECTRONS, softening_per_deg=(0.001, 0.002, -0.0001))
    path = tmp_path / "model.json"
    save_beam_model(replace(model, superposition=section), path)
    back = load_beam_model(path).superposition
    assert back is not None
    assert (back.extra_focal, back.contamination) == (HEAD, ELECTRONS)
    assert back.softening_per_deg == section.softening_per_deg
    for name in ("energy_mev", "fluence", "attenuation_cm2_g", "primary_share"):
        np.testing.assert_allclose(getattr(back.spectrum, name), getattr(section.spectrum, name), rtol=1e-6)
    np.testing.assert_allclose(back.kernel.scatter, section.kernel.scatter, rtol=1e-6)


def test_a_model_without_the_section_keeps_its_pencil_beam(model):
    assert replace(model, superposition=None).superposition is None


@pytest.mark.parametrize(
    ("where", "value", "sentence"),
    [
        (("spectrum", "fluence", 0), -1.0, "none negative"),
        (("spectrum", "attenuation_cm2_g", 0), float("nan"), "attenuation"),
        (("spectrum", "primary_share", 3), 1.5, "primary share"),
        (("kernel", "primary", 0), [5.0, 0.0, 0.0], "add up to one"),
        (
            (
                "kernel",
                "scatter_exponent_per_mm",
            ),
            0.0,
            "scatter exponent",
        ),
        (("kernel", "polar_edges_deg", 0), 1.0, "0 to 180"),
        (("softening_per_deg", 0), -0.2, "softening"),
        (("profile", "relative", 1), -0.1, "profile"),
        (("source_fwhm_mm",), float("nan"), "source width"),
        (("extra_focal", "weight"), 0.9, "extra-focal weight"),
        (("extra_focal", "distance_mm"), 700.0, "follow each other"),
        (("contamination", "attenuation_per_mm"), 0.0, "contamination"),
    ],
)
def test_impossible_numbers_are_named(model, tmp_path, where, value, sentence):
    path = tmp_path / "model.json"
    save_beam_model(replace(model, superposition=point_source(extra_focal=HEAD, contamination=ELECTRONS)), path)
    raw = json.loads(path.read_text())
    at = raw["superposition"]
    for key in where[:-1]:
        at = at[key]
    at[where[-1]] = value
    path.write_text(json.dumps(raw))
    with pytest.raises(EngineError, match=sentence):
        load_beam_model(path)
