"""Tables and checks of results, computed from draws: they serve the result of any method."""
