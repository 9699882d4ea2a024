"""What the names and calls of a formula mean: nothing here knows terms of a model."""
