"""LeukoSR: does super-resolution help white-blood-cell classification, by how much, and beyond chance?"""

__version__ = "0.1.0"
