"""One root seed, independent named streams of randomness."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

Stream = Literal["split", "degrade", "sr_init", "init", "order", "augment"]
STREAMS: tuple[Stream, ...] = ("split", "degrade", "sr_init", "init", "order", "augment")


@dataclass(frozen=True)
class StreamRoots:
    """Root seeds of a run whose streams are varied separately; `number` names the run."""

    number: int
    roots: Mapping[Stream, int] = field(hash=False)


Root = int | StreamRoots


def stream_seed(root: Root, stream: Stream, *parts: str | int) -> int:
    """A 63-bit seed of one stream of the root seed; `parts` number its draws (a method, an epoch).

    The same arguments give the same seed on every machine; different ones give unrelated seeds.
    """
    own = root if isinstance(root, int) else root.roots.get(stream, root.number)
    text = "/".join(str(part) for part in (own, stream, *parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def stream_rng(root: Root, stream: Stream, *parts: str | int) -> np.random.Generator:
    """A NumPy generator on that stream."""
    return np.random.default_rng(stream_seed(root, stream, *parts))


def run_number(root: Root) -> int:
    """The number that names a run with this root."""
    return root if isinstance(root, int) else root.number
