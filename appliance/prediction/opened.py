"""The dose network of the registry, opened once for the life of the process, and asked about one patient."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.errors import ModelError
from appliance.registered import shipped
from engines.dose_features import Features
from engines.errors import EngineError, RegisteredFileError
from engines.runtime import Backend, Network, RuntimeOptions, open_network
from engines.runtime.contract import ALL_BACKENDS
from engines.runtime.registry import Registry

MODEL = "dose"
"""Its name in models/registry.toml."""
MULTIPLE = 16
"""Sides of the network's input are multiples of it: it halves them four times."""
INPUT, DOSE, SPREAD = "features", "dose", "spread"
"""Tensors of the file. The spread is the scale of a Laplace distribution; a network may tell none."""

Volume = NDArray[np.float32]
_OPENED: dict[tuple[str, RuntimeOptions], DoseNetwork] = {}
_LOCK = threading.Lock()


@dataclass(frozen=True, eq=False)
class Passes:
    """What the network said of the patient and, where asked, of the mirrored patient, turned back: doses and spreads
    (passes, z, y, x) in units of the highest prescription, spreads None where it tells none."""

    doses: Volume
    spreads: Volume | None


@dataclass(frozen=True, eq=False)
class DoseNetwork:
    """sha256: of the registered file that it was opened from. channels: how many of the features it takes. passed_over:
    what the runtime said at opening of the backends before the one that it runs on."""

    network: Network
    sha256: str
    channels: int
    passed_over: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        return f"{self.network.name}@{self.sha256[:8]}"

    def notes(self, wanted: tuple[Backend, ...]) -> tuple[str, ...]:
        """What a reader of the prediction should know of how it ran: a device that failed on the way, and what backends
        were passed over where particular ones were `wanted`. (That a machine has no GPU, the doctor says once.)"""
        late = self.network.notes[len(self.passed_over) :]
        return late if wanted == ALL_BACKENDS else (*self.passed_over, *late)

    def ask(self, made: Features, mirror_order: tuple[int, ...]) -> Passes:
        """Of the patient and of the mirrored one. mirror_order: where each channel stands in a mirrored patient.

        Raises EngineError where the device fails or a result is not finite, ModelError where the network takes other
        features than these."""
        names = made.channels
        if not len(names) - 1 <= self.channels <= len(names):
            raise ModelError(f"the network '{self.label}' takes {self.channels} features of {len(names)}")
        tensor = made.tensor[: self.channels]
        one = self._pass(made, tensor)
        two = self._pass(made, tensor[list(mirror_order[: self.channels])], towards_left=-1)
        doses = np.stack([one[DOSE], two[DOSE]])
        return Passes(doses, np.stack([one[SPREAD], two[SPREAD]]) if SPREAD in one else None)

    def _pass(self, made: Features, tensor: Volume, *, towards_left: int = 1) -> dict[str, Volume]:
        """towards_left: -1 shows the network the volume from right to left, and turns what it says back."""
        sides = slice(None, None, towards_left)
        found = self.network.run({INPUT: np.ascontiguousarray(tensor[..., sides])[None]})
        if DOSE not in found:
            raise ModelError(f"the network '{self.label}' has no output named '{DOSE}'")
        return {name: made.to_image(volume[0, 0][..., sides]) for name, volume in found.items()}


def registered_sha256(registry: Registry | None = None) -> str:
    """Of the file that the registry names. Raises ModelError where it names none."""
    try:
        return (shipped() if registry is None else registry).entry(MODEL).sha256
    except RegisteredFileError as error:
        raise ModelError(str(error)) from error


def open_dose_network(options: RuntimeOptions, registry: Registry | None = None) -> DoseNetwork:
    """The same one each time for the same options and registered file. Raises ModelError where the file is missing or
    not the registered one, or nothing here can run it."""
    try:
        known = shipped() if registry is None else registry
        sha256 = registered_sha256(known)
        with _LOCK:
            if (sha256, options) not in _OPENED:
                _OPENED[(sha256, options)] = _opened(known, sha256, options)
            return _OPENED[(sha256, options)]
    except RegisteredFileError as error:
        raise ModelError(str(error)) from error


def _opened(registry: Registry, sha256: str, options: RuntimeOptions) -> DoseNetwork:
    model = registry.verified(MODEL)
    try:
        network = open_network(model, name=MODEL, options=options)
    except RegisteredFileError:
        raise
    except EngineError as error:
        raise ModelError(str(error)) from error
    taken = {info.name: info for info in network.inputs}
    channels = taken[INPUT].shape[1] if INPUT in taken else None
    if channels is None:
        raise ModelError(f"the network '{MODEL}' has no input '{INPUT}' with a known number of channels")
    return DoseNetwork(network, sha256, channels, network.notes)
