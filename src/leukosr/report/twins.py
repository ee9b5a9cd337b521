"""Experiments that turned out to be one experiment under several names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from leukosr.report.results import ExperimentResults, StudyResults


def twins_sentence(everything: Sequence[StudyResults]) -> str:
    """Names experiments on the same images that gave the same predictions in every run; empty where none did.

    This happens, for example, where `limit` is larger than every class. Under several protocols they must agree under
    each that both run under.
    """
    names = dict.fromkeys(name for results in everything for name in results.experiments)
    groups: list[list[str]] = []
    for name in names:
        group = next((each for each in groups if _alike(everything, each[0], name)), None)
        if group is None:
            groups.append([name])
        else:
            group.append(name)
    looks = {name: each.look for results in everything for name, each in results.experiments.items()}
    sentences = [
        f"{_joined([looks[name].label for name in group])} gave the same predictions in every run, so they may be one "
        "experiment under several names, counted once for each in the verdicts."
        for group in groups
        if len(group) > 1
    ]
    return " ".join(sentences)


def _alike(everything: Sequence[StudyResults], first: str, second: str) -> bool:
    found: list[Mapping[str, ExperimentResults]] = [
        each.experiments for each in everything if {first, second} <= set(each.experiments)
    ]
    return bool(found) and all(_rows(each[first]).equals(_rows(each[second])) for each in found)


def _rows(result: ExperimentResults) -> pd.DataFrame:
    keys = [name for name in ("sr_seed", "seed", "image") if name in result.predictions]
    return result.predictions.sort_values(keys, ignore_index=True)


def _joined(labels: Sequence[str]) -> str:
    return " and ".join([", ".join(labels[:-1]), labels[-1]])
