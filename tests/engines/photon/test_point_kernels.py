"""Point kernels: the file's own laws, the tables they must agree with, EGSnrc's kernels, and refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engines.errors import EngineError
from engines.photon.photon_data import load_attenuation
from engines.photon.point_kernels import load_point_kernels

FOLDER = Path(__file__).resolve().parents[3] / "models" / "kernels"
FILE = FOLDER / "water_point_kernels.npz"

ELECTRON_MASS_MEV = 0.51099895

EDKNRC_PRIMARY = {0.5: 0.340471, 2.0: 0.527948, 6.0: 0.652392}
EDKNRC_SCATTER = {0.5: 0.643611, 2.0: 0.429727, 6.0: 0.281126}
"""Fractions of the photon energy imparted within 60 cm by EGSnrc's EDKnrc (1e7 to 2e7 histories), read from listings in
the public repository samuelpeet/conehead (MIT), folders 'kernels (higher res)' and 'kernels (long but sparse)'."""

CONES = {
    2.0: ((7.968e-3, 22.277e-3, 32.915e-3), 10.0),
    6.0: ((23.894e-3, 58.597e-3, 73.707e-3), 40.0),
}
"""EDKnrc, same listings: primary energy in the cones 0-3.75, 3.75-7.5, 7.5-11.25 degrees, within a radius in mm."""
SCATTER_CONES = {6.0: (7.107e-3, 18.824e-3, 24.877e-3)}
"""EDKnrc: energy in the same cones from 40 to 600 mm, where no primary electron comes."""


@pytest.fixture(scope="module")
def kernels():
    return load_point_kernels(FILE)


@pytest.fixture(scope="module")
def water():
    return load_attenuation(FOLDER / "water.csv")


def _index(kernels, energy_mev: float) -> int:
    return int(np.flatnonzero(np.isclose(kernels.energy_mev, energy_mev))[0])


def test_energy_is_conserved(kernels):
    total = kernels.primary.sum(axis=(1, 2)) + kernels.scatter.sum(axis=(1, 2)) + kernels.escaped
    np.testing.assert_allclose(total, 1.0, atol=1e-5)


def test_primary_energy_is_what_the_tables_say_is_absorbed(kernels, water):
    """Charged particles of the first interaction impart mu_en / mu of the photon energy. Within 0.4 % from 0.3 to 6 MeV
    (statistics 0.1 %); below, electron binding is left out (1 %), above, positrons annihilate at rest only (1 %)."""
    expected = water.at(kernels.energy_mev, "energy_absorption") / water.at(kernels.energy_mev)
    ratio = kernels.primary.sum(axis=(1, 2)) / expected
    middle = (kernels.energy_mev >= 0.3) & (kernels.energy_mev <= 6.0)
    np.testing.assert_allclose(ratio[middle], 1.0, atol=4e-3)
    np.testing.assert_allclose(ratio, 1.0, atol=1.2e-2)


def test_the_transfer_of_klein_nishina_by_hand(kernels, water):
    """At 1 MeV all is Compton: the mean recoil energy is 0.440 of the photon's (Evans, The Atomic Nucleus,
    1955, ch. 23; integrated here), and primary energy is that less bremsstrahlung (g about 0.4 %)."""
    k = 1.0 / ELECTRON_MASS_MEV
    cos = np.linspace(-1, 1, 200_001)
    left = 1 / (1 + k * (1 - cos))
    density = left**2 * (left + 1 / left - 1 + cos**2)
    transferred = np.trapezoid(density * (1 - left), cos) / np.trapezoid(density, cos)
    assert transferred == pytest.approx(0.440, abs=5e-4)
    assert kernels.primary[_index(kernels, 1.0)].sum() == pytest.approx(transferred * (1 - 0.004), rel=5e-3)


@pytest.mark.parametrize("energy_mev", EDKNRC_PRIMARY)
def test_totals_agree_with_egsnrc(kernels, energy_mev):
    i = _index(kernels, energy_mev)
    assert kernels.primary[i].sum() == pytest.approx(EDKNRC_PRIMARY[energy_mev], rel=4e-3)
    assert kernels.scatter[i].sum() == pytest.approx(EDKNRC_SCATTER[energy_mev], rel=6e-3)


@pytest.mark.parametrize("energy_mev", CONES)
def test_forward_cones_agree_with_egsnrc(kernels, energy_mev):
    """The narrowest cone within 6 % (a thousandth of the sphere), the next two within 3 %."""
    expected, reach_mm = CONES[energy_mev]
    inside = kernels.radius_edges_mm[1:] <= reach_mm
    ours = kernels.primary[_index(kernels, energy_mev)][:3, inside].sum(axis=1)
    np.testing.assert_allclose(ours[:1], expected[:1], rtol=0.06)
    np.testing.assert_allclose(ours[1:], expected[1:], rtol=0.03)


def test_forward_scatter_agrees_with_egsnrc(kernels):
    """The narrowest cone, a thousandth of the sphere, has a statistical error of 1 % or more: 5 % allowed, else 3 %."""
    outside = kernels.radius_edges_mm[:-1] >= 40
    ours = kernels.scatter[_index(kernels, 6.0)][:3, outside].sum(axis=1)
    np.testing.assert_allclose(ours[:1], SCATTER_CONES[6.0][:1], rtol=0.05)
    np.testing.assert_allclose(ours[1:], SCATTER_CONES[6.0][1:], rtol=0.03)


def test_kernels_grow_forward_and_outward_with_energy(kernels):
    middle = np.radians((kernels.angle_edges_deg[1:] + kernels.angle_edges_deg[:-1]) / 2)
    radius = (kernels.radius_edges_mm[1:] + kernels.radius_edges_mm[:-1]) / 2
    above = kernels.energy_mev >= 0.5
    for table in (kernels.primary, kernels.scatter):
        share = table / table.sum(axis=(1, 2), keepdims=True)
        forward = (share.sum(axis=2) @ np.cos(middle))[above]
        reach = (share.sum(axis=1) @ radius)[above]
        assert np.all(np.diff(forward) > 0)
        assert np.all(np.diff(reach) > 0)


def test_no_primary_electron_goes_beyond_its_range(kernels):
    """The fastest Compton electron of a 6 MeV photon has 5.75 MeV and a range of 29.3 mm (ESTAR), a photoelectron
    of 6 MeV 30.5 mm; nothing is imparted further but by rounding into the shell that holds it."""
    beyond = kernels.radius_edges_mm[:-1] >= 31
    assert kernels.primary[_index(kernels, 6.0)][:, beyond].sum() < 1e-4


def test_half_of_the_scatter_lies_where_scatter_lies(kernels):
    """Scattered photons of such a beam have paths of some 10 cm: the mean radius is 15 to 25 cm from 0.3 to 6 MeV."""
    radius = (kernels.radius_edges_mm[1:] + kernels.radius_edges_mm[:-1]) / 2
    mean = kernels.scatter.sum(axis=1) @ radius / kernels.scatter.sum(axis=(1, 2))
    chosen = (kernels.energy_mev >= 0.3) & (kernels.energy_mev <= 6)
    assert np.all((mean[chosen] > 150) & (mean[chosen] < 250))


def test_stated_errors_are_of_the_size_that_counting_gives(kernels):
    """Neighbour angle bins far from the axis differ smoothly: their spread about the mean of their neighbours must be
    what the stated errors say, within a quarter."""
    i = _index(kernels, 2.0)
    sums = kernels.scatter[i][24:40, 40:45]
    sigma = kernels.scatter_error[i][24:40, 40:45] * sums
    second = sums[1:-1] - 0.5 * (sums[:-2] + sums[2:])
    expected = np.sqrt(sigma[1:-1] ** 2 + 0.25 * (sigma[:-2] ** 2 + sigma[2:] ** 2))
    assert np.sqrt(np.mean((second / expected) ** 2)) == pytest.approx(1.0, abs=0.25)


def test_cumulative_kernels_start_at_zero_and_end_at_the_whole(kernels):
    for total, shells in (
        (kernels.primary_cumulative(), kernels.primary),
        (kernels.scatter_cumulative(), kernels.scatter),
    ):
        assert total.shape == (*shells.shape[:2], shells.shape[2] + 1)
        assert np.all(total[:, :, 0] == 0)
        np.testing.assert_allclose(total[:, :, -1], shells.sum(axis=2))
        assert np.all(np.diff(total, axis=2) >= 0)


def test_a_mix_of_one_energy_is_that_energy(kernels):
    weights = np.zeros(kernels.energy_mev.size)
    weights[3] = 7.0
    primary, scatter = kernels.mix(weights)
    np.testing.assert_array_equal(primary, kernels.primary[3])
    np.testing.assert_array_equal(scatter, kernels.scatter[3])


def test_a_mix_lies_between_its_energies(kernels):
    weights = np.zeros(kernels.energy_mev.size)
    weights[[2, 5]] = 1.0, 3.0
    primary, _ = kernels.mix(weights)
    np.testing.assert_allclose(primary, 0.25 * kernels.primary[2] + 0.75 * kernels.primary[5])


@pytest.mark.parametrize("weights", [[1.0], [-1.0] + [1.0] * 19, [0.0] * 20, [np.nan] * 20])
def test_weights_that_are_no_spectrum_are_refused(kernels, weights):
    with pytest.raises(EngineError, match="20 weights"):
        kernels.mix(np.array(weights))


def _rewritten(path: Path, **changes) -> Path:
    with np.load(FILE) as raw:
        content = {key: raw[key] for key in raw.files}
    for key, change in changes.items():
        content[key] = change(content[key])
    np.savez(path, **content)
    return path


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"format": lambda _: "other"}, "is not couchside-point-kernels-1"),
        ({"energy_mev": lambda e: e[::-1]}, "energies must be positive and grow"),
        ({"angle_edges_deg": lambda a: a / 2}, "from 0 to 180"),
        ({"radius_edges_mm": lambda r: r + 1}, "radius edges must grow from 0"),
        ({"scatter": lambda s: s[:, :-1]}, "do not fit"),
        ({"scatter": lambda s: -s}, "must not be negative"),
        ({"scatter": lambda s: s * np.float32(np.nan)}, "must not be negative"),
        ({"primary": lambda p: p * np.float32(1.01)}, "do not add up to one"),
        ({"water_per_cm": lambda m: 0 * m}, "attenuation must be positive"),
    ],
)
def test_a_file_that_cannot_be_of_kernels_is_refused(tmp_path, changes, sentence):
    with pytest.raises(EngineError, match=sentence):
        load_point_kernels(_rewritten(tmp_path / "changed.npz", **changes))


def test_a_file_that_is_no_archive_is_refused(tmp_path):
    (tmp_path / "text.npz").write_text("kernels")
    with pytest.raises(EngineError, match=r"text\.npz is not a usable kernel file"):
        load_point_kernels(tmp_path / "text.npz")
    with pytest.raises(EngineError, match="not a usable kernel file"):
        load_point_kernels(tmp_path / "missing.npz")
