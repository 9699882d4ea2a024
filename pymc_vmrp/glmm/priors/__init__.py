"""Priors: their densities, which models take them, and draws from them."""
