"""Engine 1: structured mean-field coordinate ascent. It knows arrays and the GLMM, not PyMC."""
