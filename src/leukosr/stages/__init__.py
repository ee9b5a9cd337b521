"""The stages of the DVC pipeline, one file each: read files, call the domain, write files, log the run."""
