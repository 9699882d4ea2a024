"""Integration over the hyperparameters: q(β, u | θ) at many weighted θ."""
