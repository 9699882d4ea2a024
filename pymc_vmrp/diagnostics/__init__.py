"""Whether a fit can be trusted: of the approximation, and of the model."""
