"""Metrics: one NumPy definition of each, and its interval."""
