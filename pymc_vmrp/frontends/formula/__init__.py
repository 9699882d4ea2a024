"""A formula and a data frame as the design of a GLMM."""
