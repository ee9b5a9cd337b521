"""Speed of this project against plain reference loops; see docs/benchmarks.md. Never part of the tests."""
