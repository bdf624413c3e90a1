"""The collapsed cone as a plan's final dose: calibrated, bound to its algorithm, the same beams as the pencil beam."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from appliance.errors import ModelError
from appliance.planning import calculate_dose
from appliance.planning.beam_models import BEAM_MODELS
from appliance.planning.final_dose import DoseOptions
from engines.photon.beam_model import load_beam_model, save_beam_model
from tests.engines.photon.superposition.cases import point_source

from .cases import PENCIL, SQUARE, beam, leaves, plan, segment, water_box

OPEN = leaves(-60.0, 60.0)


def of(path: object) -> DoseOptions:
    return {"beam_model": str(path), "density": "generic_ct", "algorithm": "collapsed_cone"}


@pytest.fixture(scope="module")
def with_section(tmp_path_factory) -> str:
    """The shipped pencil beam with the superposition section of a bare 6 MV source."""
    path = tmp_path_factory.mktemp("model") / "both.json"
    shipped = load_beam_model(BEAM_MODELS / "generic_6mv.json")
    save_beam_model(replace(shipped, superposition=point_source(source_fwhm_mm=4.0)), path)
    return str(path)


@pytest.fixture(scope="module")
def open_field():
    return plan(beam(*segment(0, 100.0, *OPEN, SQUARE)))


def test_a_model_without_the_section_is_refused(tmp_path, open_field):
    path = tmp_path / "pencil.json"
    save_beam_model(replace(load_beam_model(BEAM_MODELS / "generic_6mv.json"), superposition=None), path)
    with pytest.raises(ModelError, match="no superposition section"):
        calculate_dose(open_field, water_box(), None, **of(path))


def test_one_monitor_unit_is_one_centigray_at_reference_conditions(with_section, open_field):
    image, told = water_box(), []
    made = calculate_dose(open_field, image, None, **of(with_section), progress=lambda _, share: told.append(share))
    depths = 1.5 + 3.0 * np.arange(image.grid.shape[1])
    on_axis = made.dose_gy[31, :, 31]
    assert float(np.interp(15.0, depths, on_axis)) == pytest.approx(1.0, rel=0.01)
    assert made.algorithm == "Couchside collapsed cone 1"
    assert told == sorted(told)
    assert told[-1] == 1.0
    # The same plan by the other algorithm: 6 MV in water, two models, within a few percent.
    pencil = calculate_dose(open_field, image, None, **(PENCIL | {"beam_model": with_section}))
    assert pencil.algorithm == "Couchside SVD pencil beam 1"
    inside = pencil.dose_gy > 0.5
    inside[:, :4] = False
    assert np.median(np.abs(made.dose_gy - pencil.dose_gy)[inside]) < 0.03


def test_beams_alone_add_up_to_all_of_them(with_section):
    shapes = segment(0, 50.0, *OPEN, SQUARE)
    made = plan(beam(*shapes), replace(beam(*shapes), number=2))
    options = of(with_section)
    single = calculate_dose(made, water_box(), None, per_beam=True, **options)
    together = calculate_dose(made, water_box(), None, **options)
    assert len(single.beam_dose_gy) == 2
    np.testing.assert_allclose(sum(single.beam_dose_gy), together.dose_gy, atol=1e-4)
