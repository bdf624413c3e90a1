"""The DICOM files of one generated study, all with one identity, frame of reference and stamp."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from appliance.builtin.stamp import Stamp
from appliance.contracts import Identity, Image, SourceObject, Structure
from appliance.dicomio.ct import write_ct_series
from appliance.dicomio.dose import dose_dataset
from appliance.dicomio.files import RESEARCH_NOTICE, save_durable
from appliance.dicomio.structure_set import structure_set_dataset
from appliance.errors import RefusedInput, WriteFailed
from engines.grid import Grid


def refuse_used_folder(folder: Path) -> None:
    """A study mixed with older files would not be one case. Raises RefusedInput, WriteFailed."""
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise RefusedInput(f"{folder} is not an empty folder; name a new or empty one, so that nothing is mixed")
    except OSError as error:
        raise WriteFailed(f"{folder} ({error.strerror or error})") from error


@contextmanager
def whole_or_nothing(folder: Path) -> Iterator[None]:
    """For a folder that is new or empty: takes away what was written into it, unless the block comes to its end."""
    existed = folder.exists()
    try:
        yield
    except BaseException:
        with suppress(OSError):
            for path in folder.iterdir():
                path.unlink()
            if not existed:
                folder.rmdir()
        raise


@dataclass(frozen=True)
class StudyWriter:
    """Each method writes one series into `folder` and raises what `appliance.dicomio` raises: DiskFull, WriteFailed."""

    folder: Path
    identity: Identity
    frame_of_reference_uid: str
    stamp: Stamp

    def write_images(self, image: Image, description: str) -> tuple[SourceObject, ...]:
        """CT_0001.dcm …, returned in order of rising z. The patient lies head first supine."""
        written = write_ct_series(
            image,
            identity=self.identity,
            frame_of_reference_uid=self.frame_of_reference_uid,
            patient_position="HFS",
            folder=self.folder,
            series_instance_uid=self.stamp.uid("ct-series"),
            description=description,
        )
        return self.stamp.restamp(written, "ct", self.identity)

    def write_structures(
        self, structures: Sequence[Structure], images: Sequence[SourceObject], *, label: str, description: str
    ) -> SourceObject:
        """RS.dcm. description: where the structures come from, in sentences."""
        dataset = structure_set_dataset(
            structures,
            identity=self.identity,
            frame_of_reference_uid=self.frame_of_reference_uid,
            images=images,
            label=label,
        )
        dataset.StructureSetDescription = f"{description} {RESEARCH_NOTICE}"
        return self._save(dataset, "rtstruct", "RS.dcm")

    def write_dose(
        self, grid: Grid, dose_gy: NDArray[np.float32], structure_set: SourceObject, *, description: str
    ) -> SourceObject:
        """RD.dcm: dose_gy (z, y, x) of the whole course, of a plan that is not to be had."""
        dataset = dose_dataset(
            grid,
            dose_gy,
            identity=self.identity,
            frame_of_reference_uid=self.frame_of_reference_uid,
            plan=None,
            structure_set=structure_set,
        )
        dataset.SeriesDescription = description
        return self._save(dataset, "rtdose", "RD.dcm")

    def _save(self, dataset: Dataset, role: str, file_name: str) -> SourceObject:
        dataset.SeriesInstanceUID = self.stamp.uid(f"{role}-series")
        self.stamp.apply(dataset, role, self.identity)
        return save_durable(dataset, self.folder / file_name)
