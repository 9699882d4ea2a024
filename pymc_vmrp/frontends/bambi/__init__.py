"""Bambi models: read, and their draws written back. These files alone know Bambi's insides."""
