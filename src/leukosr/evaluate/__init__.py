"""Measures: image quality against the ground truth, and classification."""
