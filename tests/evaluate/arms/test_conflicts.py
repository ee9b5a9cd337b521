"""Label conflicts."""

from __future__ import annotations

import pandas as pd

from leukosr.evaluate.arms.conflicts import conflicting_sources, without_conflicts
from leukosr.evaluate.arms.predictions import Predictions


def test_a_source_with_two_labels_conflicts_and_unknown_sources_do_not() -> None:
    labels = [("s1", "a"), ("s1", "b"), ("s2", "a"), ("s2", "a"), ("", "a"), ("", "b")]
    assert conflicting_sources(labels) == {"s1"}


def test_where_most_sources_have_several_labels_they_are_patients_and_nothing_conflicts() -> None:
    assert not conflicting_sources([("p1", "a"), ("p1", "b"), ("p2", "a"), ("p2", "b"), ("p3", "a"), ("p3", "a")])


def test_every_image_of_a_conflicting_source_is_left_out_of_every_arm() -> None:
    table = pd.DataFrame(
        {"image": list("1234"), "source": ["s1", "s1", "s2", "s2"], "seed": 0, "true": list("abaa"), "predicted": "a"}
    )
    arms = [Predictions(name, table, ("a", "b")) for name in ("one", "other")]
    kept, images = without_conflicts(arms)
    assert images == 2 and [list(arm.table["image"]) for arm in kept] == [["3", "4"], ["3", "4"]]
    same, none = without_conflicts(kept)
    assert none == 0 and same[0].table.equals(kept[0].table)
