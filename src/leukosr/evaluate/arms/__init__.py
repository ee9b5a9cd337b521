"""Comparing arms: predictions of the same images, paired by image, source and seed."""
