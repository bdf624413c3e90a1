"""Beam commissioning: measured curves in, one beam model for both dose algorithms out, with figures and verdicts."""

from appliance.commissioning.read_folder import Measurements, read_measurements

__all__ = ["Measurements", "read_measurements"]
