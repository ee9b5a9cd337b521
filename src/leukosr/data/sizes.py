"""The size at which a set is studied, from the sizes of its images."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median_low, multimode

from leukosr.data.splits.shares import Candidate
from leukosr.quoting import counted


def study_size(items: Sequence[Candidate], longest: int, scale: int) -> tuple[int, int]:
    """Height and width of the commonest size, shrunk to `longest` at the longer side, as multiples of `scale`."""
    sides = _commonest(items)
    longer = max(sides)
    height, width = (side * min(longest, longer) // longer // scale * scale for side in sides)
    return height, width


def size_words(items: Sequence[Candidate], longest: int, scale: int) -> str:
    """How many images have the commonest size, and what was done to it."""
    height, width = _commonest(items)
    count = sum((item.height, item.width) == (height, width) for item in items)
    size = f"{count} of {counted(len(items), 'image')} {'has' if count == 1 else 'have'} {height}x{width} pixels"
    if max(height, width) > longest:
        return f"{size}, shrunk to {longest} at the longer side and rounded down to multiples of {scale}"
    rounded = (height, width) != study_size(items, longest, scale)
    return f"{size}, rounded down to multiples of {scale}" if rounded else size


def _commonest(items: Sequence[Candidate]) -> tuple[int, int]:
    """The height and width that most images have; of sizes that are as common, the one in the middle."""
    return median_low(multimode((item.height, item.width) for item in items))
