"""Published weights as data: a catalogue, fetching with digests, and `pretrained/NAME.safetensors`."""
