"""Predictions for rows: of the model's own data, or of new data."""
