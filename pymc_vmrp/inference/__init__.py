"""From a model that has been read, and options, to draws: the one road of all models."""
