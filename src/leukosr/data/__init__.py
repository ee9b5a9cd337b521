"""Images and their roles: synthetic smears, importing, checking, splitting and reading data sets."""
