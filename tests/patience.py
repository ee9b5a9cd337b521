"""How long a test waits for another process before it takes it to hang."""

PATIENCE = 900  # seconds: no measure of speed, as CI's machine may be many times as slow as the one at hand
