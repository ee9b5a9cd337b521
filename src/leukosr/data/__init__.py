"""Images and their roles: synthetic smears, bringing sets in, checking, splitting, reading."""
