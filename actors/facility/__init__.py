"""Facilities with their sensors: columnar sensor state, threshold alarms, risk level."""
