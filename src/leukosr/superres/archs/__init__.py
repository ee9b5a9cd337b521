"""The super-resolution networks, one file a method: its generator and, if any, its discriminator."""
