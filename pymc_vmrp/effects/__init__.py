"""Heterogeneous effects: predictions, comparisons and slopes, and effects of a treatment by group."""
