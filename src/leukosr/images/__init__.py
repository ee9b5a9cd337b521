"""Reading, listing, checking and resampling images: what every domain package shares."""
