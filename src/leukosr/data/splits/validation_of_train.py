"""`validation_of_train`: what 003_… calls its test is a fifth of TRAIN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from leukosr.config import Prepare
from leukosr.data.splits.shares import Candidate, by_class, drawn, of_class, references, used_alike, with_fewer
from leukosr.errors import LeukoError

FRACTION = 0.2


def validation_of_train(
    items: Sequence[Candidate], settings: Prepare, seed: int, most: Mapping[str, int] | None = None
) -> dict[str, str]:
    """Tests on the first fifth of each class of TRAIN by name, and trains on the rest; the test part is not used.

    The paper's 499/496/495/499 images are a fifth of each class rounded down, the pattern of Keras' validation_split,
    which takes the first files. SR trains on the training images, too. A set without parts is all TRAIN. Raises
    LeukoError for a class of fewer than five training images.
    """
    roles: dict[str, str] = {}
    for label, members in by_class(items).items():
        pool = [item for item in members if item.part in ("train", "all")]
        cut = int(FRACTION * len(pool))
        if not cut:
            raise LeukoError(
                f"{of_class(label)} has {len(pool)} training images, at least 5 are needed to test on a fifth"
            )
        test, train = (
            [item.id for item in drawn(part, seed, "validation_of_train", label, name)]
            for part, name in ((pool[:cut], "test"), (pool[cut:], "train"))
        )
        roles |= used_alike(train, [], test, settings)
        listed = [item.id for item in members if item.part == "reference"]
        roles |= references(listed, settings.per_class.reference)
    return with_fewer(items, roles, most, seed)
