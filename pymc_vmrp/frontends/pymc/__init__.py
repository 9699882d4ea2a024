"""The door for a plain ``pm.Model``: its graph is recognised as a GLMM, fitted, and named again."""
