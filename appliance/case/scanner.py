"""What an image says of the device that made it."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.dataset import Dataset

from appliance.case.attributes import text

DATES = ("AcquisitionDate", "SeriesDate", "StudyDate")


@dataclass(frozen=True)
class Scanner:
    """Values as in DICOM, '' where there is none: Manufacturer, ManufacturerModelName, StationName, SeriesDescription,
    ProtocolName and ScanOptions (joined by spaces). taken_on: AcquisitionDate, else SeriesDate, else StudyDate: an
    image of the day may be filed in the study of the planning CT, whose date is older."""

    manufacturer: str = ""
    model: str = ""
    station: str = ""
    series_description: str = ""
    protocol: str = ""
    scan_options: str = ""
    taken_on: str = ""

    @staticmethod
    def of(dataset: Dataset) -> Scanner:
        options = dataset.get("ScanOptions") or ""
        return Scanner(
            manufacturer=text(dataset, "Manufacturer"),
            model=text(dataset, "ManufacturerModelName"),
            station=text(dataset, "StationName"),
            series_description=text(dataset, "SeriesDescription"),
            protocol=text(dataset, "ProtocolName"),
            taken_on=next((day for name in DATES if (day := text(dataset, name))), ""),
            scan_options=options if isinstance(options, str) else " ".join(str(option) for option in options),
        )
