"""Measurements: speed, and accuracy against published references. Run `python -m benchmarks`."""
