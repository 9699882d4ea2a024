"""Pictures of effects by group (matplotlib)."""
