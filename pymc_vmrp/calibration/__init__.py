"""Simulation-based calibration of inference methods."""
