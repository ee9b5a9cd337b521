"""Comparing runs of one arm: how far they lie apart, and why."""
