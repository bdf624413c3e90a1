"""Attenuation tables and spectra: published rows reprinted, physics between them, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engines.errors import EngineError
from engines.photon.photon_data import load_attenuation, load_spectrum

FOLDER = Path(__file__).resolve().parents[3] / "models" / "kernels"
BARN_ELECTRONS_PER_G = 6.02214076e23 * 10 / 18.01528 * 1e-24


@pytest.fixture(scope="module")
def water():
    return load_attenuation(FOLDER / "water.csv")


@pytest.mark.parametrize(
    ("energy_mev", "total", "absorbed"),
    [(0.05, 0.2269, 0.04223), (0.1, 0.1707, 0.02546), (1.0, 0.07072, 0.03103), (2.0, 0.04942, 0.02608),
     (6.0, 0.02770, 0.01806), (10.0, 0.02219, 0.01566)],
)  # fmt: skip
def test_published_rows_of_water(water, energy_mev, total, absorbed):
    """Hubbell and Seltzer, NISTIR 5632 (1995), liquid water."""
    assert water.at(np.array(energy_mev), "total") == pytest.approx(total)
    assert water.at(np.array(energy_mev), "energy_absorption") == pytest.approx(absorbed)


@pytest.mark.parametrize(("energy_mev", "expected"), [(0.1, 0.1654), (0.5, 0.09665), (1.0, 0.07066), (2.0, 0.04940)])
def test_published_rows_without_coherent_scattering(water, energy_mev, expected):
    """XCOM, water, total without coherent scattering."""
    assert water.at(np.array(energy_mev)) == pytest.approx(expected, rel=4e-4)


def test_at_one_mev_water_attenuates_as_klein_nishina_says(water):
    """0.2112 barn an electron (Evans 1955; 3.343e23 electrons a gram): 0.0706 cm2/g, 0.1 % less than the table."""
    assert water.at(np.array(1.0)) == pytest.approx(0.2112 * BARN_ELECTRONS_PER_G, rel=2e-3)


def test_water_and_air_differ_by_their_electrons_where_compton_rules(water):
    """Z/A of water 0.5551, of dry air 0.4992 (NIST, table 2)."""
    air = load_attenuation(FOLDER / "air.csv")
    energy = np.array([0.5, 1.0, 1.5])
    np.testing.assert_allclose(water.at(energy) / air.at(energy), 0.5551 / 0.4992, rtol=2e-3)


def test_between_rows_it_follows_the_log(water):
    between = water.at(np.array([np.sqrt(2.0 * 3.0)]), "total")
    assert between[0] == pytest.approx(np.sqrt(0.04942 * 0.03969))


def test_energies_outside_the_table_are_refused(water):
    for energy in (0.001, 20.0, np.nan):
        with pytest.raises(EngineError, match="tabulated from"):
            water.at(np.array([1.0, energy]))


def test_spectra_are_of_megavolt_beams(water):
    """Flattened 6 MV beams have mean energies of 1.4 to 1.8 MeV, without the filter 1.1 to 1.4 MeV; what a filter takes
    out is soft. The difference in primary attenuation between 10 and 20 cm is what the depth doses of the 40 mm field
    show: ln(61.5 / 33.4) against ln(58.4 / 30.1) over 10 cm (models/beam/data)."""
    flat, bare = (load_spectrum(FOLDER / name) for name in ("spectrum_6mv.csv", "spectrum_6mv_fff.csv"))
    assert 1.4 < flat.mean_energy_mev < 1.8
    assert 1.1 < bare.mean_energy_mev < 1.4
    assert flat.fluence.sum() == pytest.approx(1.0)
    assert flat.edges_mev[-1] == pytest.approx(5.8)

    def slope(spectrum):
        mu, absorbed = water.at(spectrum.energy_mev), water.at(spectrum.energy_mev, "energy_absorption")
        dose = [(spectrum.fluence * spectrum.energy_mev * absorbed * np.exp(-mu * d)).sum() for d in (10.0, 20.0)]
        return np.log(dose[0] / dose[1]) / 10

    measured = (np.log(58.4 / 30.1) - np.log(61.5 / 33.4)) / 10
    assert slope(bare) - slope(flat) == pytest.approx(measured, abs=3e-4)


GOOD = "# format: couchside-attenuation-1\n# source: by hand\nenergy_mev,total,without_coherent,energy_absorption\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "not a usable table"),
        ("energy_mev\n1\n2\n", "not a usable table"),
        (GOOD, "not a usable table"),
        (GOOD + "1,1,1,0.5\n", "energies must grow"),
        (GOOD + "1,1,1,0.5\n1,1,1,0.5\n", "energies must grow"),
        (GOOD + "1,1,1,0.5\n2,1,1,-0.5\n", "positive and finite"),
        (GOOD + "1,1,1,0.5\n2,1,1,nan\n", "positive and finite"),
        (GOOD + "1,1,1,0.5\n2,1,1,2\n", "more energy is absorbed than attenuated"),
        (GOOD + "1,1,1\n2,1,1\n", "not a usable table"),
        (GOOD.replace("total,", "") + "1,1,0.5\n2,1,0.5\n", "lacks the columns total"),
        (GOOD.replace("attenuation", "spectrum") + "1,1,1,0.5\n2,1,1,0.5\n", "is not couchside-attenuation-1"),
    ],
)
def test_tables_that_cannot_be_are_refused(tmp_path, text, sentence):
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(EngineError, match=sentence):
        load_attenuation(tmp_path / "table.csv")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(EngineError, match="not a usable table"):
        load_attenuation(tmp_path / "none.csv")


@pytest.mark.parametrize("energies", ["0.1\n0.2\n0.4", "0.01\n0.11\n0.21"])
def test_spectra_with_uneven_bins_or_below_zero_are_refused(tmp_path, energies):
    rows = "\n".join(f"{energy},1" for energy in energies.split())
    text = f"# format: couchside-spectrum-1\n# source: by hand\nenergy_mev,fluence\n{rows}\n"
    (tmp_path / "spectrum.csv").write_text(text)
    with pytest.raises(EngineError, match="equally wide"):
        load_spectrum(tmp_path / "spectrum.csv")
