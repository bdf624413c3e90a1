"""Fixed UIDs and times for generated objects, so that a demo or a test can make the same bytes again."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from pydicom.dataset import Dataset

from appliance.contracts import Identity, SourceObject
from appliance.dicomio.files import save_durable
from appliance.dicomio.read import read_dataset
from appliance.dicomio.values import new_uid

_NAMESPACE = uuid.UUID("6f1f1c8e-6d0b-5a53-9a1c-3f4f1f8a2c11")
"""Any fixed UUID serves; this one was drawn once."""


@dataclass(frozen=True)
class Stamp:
    """Gives UIDs for the roles of one study: fresh ones without a seed, always the same with one."""

    scope: str
    seed: str | None = None

    def uid(self, role: str) -> str:
        """A UID under 2.25 made of a UUID (PS3.5 annex B.2), name-based (RFC 9562 version 5) if there is a seed."""
        if self.seed is None:
            return new_uid()
        return f"2.25.{uuid.uuid5(_NAMESPACE, '/'.join((self.seed, self.scope, role))).int}"

    def apply(self, dataset: Dataset, role: str, identity: Identity) -> None:
        """With a seed: SOP instance UID of `role` and the study's date and time for every date of creation."""
        if self.seed is None:
            return
        dataset.SOPInstanceUID = self.uid(role)
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        for kind in ("InstanceCreation", "Content", "StructureSet"):
            if f"{kind}Date" in dataset:
                setattr(dataset, f"{kind}Date", identity.study_date)
                setattr(dataset, f"{kind}Time", identity.study_time)

    def restamp(self, written: tuple[SourceObject, ...], role: str, identity: Identity) -> tuple[SourceObject, ...]:
        """The same files, stamped, in the same order; untouched without a seed."""
        if self.seed is None:
            return written
        stamped = []
        for number, source in enumerate(written, start=1):
            dataset = read_dataset(source.path, what=f"{source.modality} {number}")
            self.apply(dataset, f"{role}/{number}", identity)
            stamped.append(save_durable(dataset, source.path))
        return tuple(stamped)
