"""A page on this machine that shows what a study's models make of anyone's image."""
