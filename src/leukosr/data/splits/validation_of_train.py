"""`validation_of_train`: what 003_… calls its test is a fifth of TRAIN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from leukosr.data.settings import Prepare
from leukosr.data.splits.shares import Candidate, cut_alike, of_class
from leukosr.errors import LeukoError
from leukosr.quoting import counted


def validation_of_train(
    items: Sequence[Candidate], settings: Prepare, seed: int, most: Mapping[str, int] | None = None
) -> dict[str, str]:
    """Tests on the first fifth of each class of TRAIN by name, and trains on the rest; the test part is not used.

    The paper's 499/496/495/499 images are a fifth of each class rounded down, the pattern of Keras' validation_split,
    which takes the first files. SR trains on the training images, too. A set without parts is all TRAIN. Raises
    LeukoError for a class of fewer than five training images.
    """
    return cut_alike(items, settings, seed, most, "validation_of_train", _cut)


def _cut(label: str, images: Sequence[Candidate]) -> tuple[list[str], list[str], list[str]]:
    pool = [item.id for item in images if item.part in ("train", "all")]
    first = set(sorted(pool)[: int(0.2 * len(pool))])
    if not first:
        has = f"{of_class(label)} has {counted(len(pool), 'training image')}"
        raise LeukoError(f"{has}, at least 5 are needed to test on a fifth: add images")
    return [each for each in pool if each not in first], [], [each for each in pool if each in first]
