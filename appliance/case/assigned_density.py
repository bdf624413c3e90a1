"""Densities that a structure set assigns to its structures (PS3.3 C.8.8.8, ROI Physical Properties Sequence)."""

from __future__ import annotations

from pydicom.dataset import Dataset

from appliance.case.attributes import items, number, text
from appliance.contracts import DensityOverride
from appliance.errors import InconsistentCase

MASS, ELECTRON = "REL_MASS_DENSITY", "REL_ELEC_DENSITY"
HIGHEST = 25.0
"""No matter is denser relative to water (osmium: 22.6 g/cm3)."""


def read_density(observation: Dataset, what: str) -> tuple[DensityOverride | None, str]:
    """(density relative to water, what of the observation is not used, or '').

    Raises InconsistentCase `structures.density` for two values of one property or one that no matter has."""
    found: dict[str, float] = {}
    others: list[str] = []
    for item in items(observation, "ROIPhysicalPropertiesSequence"):
        name = text(item, "ROIPhysicalProperty")
        if name not in (MASS, ELECTRON):
            others.append(name or "no name")
            continue
        value = number(item, "ROIPhysicalPropertyValue", what)
        if not 0 <= value <= HIGHEST or found.get(name, value) != value:
            raise InconsistentCase(
                f"it assigns a density of {value:g} times that of water"
                if name not in found
                else "it has two densities",
                what=what,
                remedy="Assign one density from 0 to 25 times that of water, or none, and send the structure set again",
                rule="structures.density",
            )
        found[name] = value
    not_used = f"its physical properties {', '.join(others)} are not used" if others else ""
    return (DensityOverride(found.get(MASS), found.get(ELECTRON)) if found else None), not_used


def density_words(density: DensityOverride) -> str:
    """For a sentence: 'a mass density of 4.5 and an electron density of 3.7 times that of water'."""
    parts = []
    if density.relative_mass_density is not None:
        parts.append(f"a mass density of {density.relative_mass_density:g}")
    if density.relative_electron_density is not None:
        parts.append(f"an electron density of {density.relative_electron_density:g}")
    return f"{' and '.join(parts)} times that of water"
