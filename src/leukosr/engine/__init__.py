"""Parts that both trainers share: device, precision, seeding, weights, resuming, progress, processes."""
