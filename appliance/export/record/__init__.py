"""The evaluation for the record: one page as HTML and PDF, a DICOM Encapsulated PDF, and a structured report.

All of them are made from the scorecard (`page`), so none can hold a number that the scorecard does not.
"""

from appliance.export.record.write import RecordFiles, write_record

__all__ = ["RecordFiles", "write_record"]
