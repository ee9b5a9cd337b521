"""Shared by both trainers: device, precision, seeding, weights, resuming, progress, processes."""
