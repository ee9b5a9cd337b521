"""Which images show the same source micrograph: local features, candidate search, geometric verification, groups."""
