"""The survey workflow built on a fitted model: poststratification."""
