"""Engine 2: PyMC. The same GLMM as a pm.Model, and the methods that sample or fit it."""
