"""Shared DICOM reading and writing: datasets in, durable files out. Knows the contracts, no stage."""
