"""The hub: a frozen description of a hierarchical generalised linear model."""
