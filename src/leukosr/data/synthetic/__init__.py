"""Drawn blood smears, for a demo that needs no download."""
