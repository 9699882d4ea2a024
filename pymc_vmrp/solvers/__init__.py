"""Solvers of the Gaussian q(β, u): how a sweep's normal equations are solved."""
