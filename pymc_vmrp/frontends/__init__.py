"""The doors: each turns what a user has (a formula and data, a model) into a GLMM."""
