"""The exact engine without PyMC: a blocked Gibbs sampler on cells."""
