"""One root seed, independent named streams of randomness."""

from __future__ import annotations

import hashlib
from typing import Literal

import numpy as np

Stream = Literal["split", "degrade", "sr_init", "init", "order", "augment"]


def stream_seed(root: int, stream: Stream, *parts: str | int) -> int:
    """A 63-bit seed of one stream of the root seed; `parts` number its draws (a method, an epoch).

    The same arguments give the same seed on every machine; different ones give unrelated seeds.
    """
    text = "/".join(str(part) for part in (root, stream, *parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def stream_rng(root: int, stream: Stream, *parts: str | int) -> np.random.Generator:
    """A NumPy generator on that stream."""
    return np.random.default_rng(stream_seed(root, stream, *parts))
