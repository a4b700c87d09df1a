"""The sections of a report: functions from `ReportData` to a `Section`, or a `MissingSection`."""
