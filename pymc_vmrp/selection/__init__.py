"""Choice among models of the same responses."""
