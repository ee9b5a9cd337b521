"""Making the trials of a sweep, alone or beside other processes."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import torch

from leukosr import tracking
from leukosr.config import Params
from leukosr.config.sweep import SweptStream
from leukosr.data.manifest import read_manifest
from leukosr.data.separation import refuse_trained_tests
from leukosr.data.splits import check_claims
from leukosr.data.sr_folds import seen_from
from leukosr.engine.progress import progress
from leukosr.engine.seeding import STREAMS, StreamRoots
from leukosr.layout import Layout
from leukosr.quoting import counted, decimal
from leukosr.stages.sweep_plan import Plan, arm_folders, swept_training, values
from leukosr.stages.training_inputs import training_pairs
from leukosr.tracking.sweep_record import SweepRecord
from leukosr.tracking.trial_attempt import Attempt, Space
from leukosr.tracking.trial_store import TrialStore


class Subject(Protocol):
    """What is trained: `measure` gives the metrics of one run, `tune` those that a search may look at."""

    device: torch.device

    def measure(self, learning_rate: float, roots: StreamRoots) -> Mapping[str, float]:
        """Train with the study's settings at a learning rate."""

    def tune(self, drawn: Mapping[str, float], roots: StreamRoots) -> Mapping[str, float]:
        """Train with drawn settings; validation scores."""


def work(
    params: Params, layout: Layout, plan: Plan, store: TrialStore, record: SweepRecord, around: tracking.Run
) -> None:
    """Make trials until all are done, logged below the run of the sweep. Images are only read where there is need."""
    if len(store.finished()) == plan.count:
        return
    subject = _subject(params, layout)
    with progress(plan.count, "sweep") as advance:
        shown = len(store.finished())
        advance(shown, "")

        def measure(attempt: Attempt) -> Mapping[str, float]:
            nonlocal shown
            with record.of_trial(attempt.cell, attempt.number, around) as tracked:
                tracked.parameters(record.facts)
                attempt.note(mlflow_run_id=tracked.run_id, ran_on=_machine(subject.device))
                metrics = _measure(params, plan, subject, attempt, tracked)
                tracked.metrics(metrics)
            if tracked.lost:
                attempt.note(mlflow_run_id=None)  # so that `leukosr sync` logs it
            done = len(store.finished()) + 1
            advance(max(0, done - shown), f"{params.sweep.objective} {decimal(metrics[params.sweep.objective], 3)}")
            shown = max(done, shown)
            return metrics

        store.work(measure, plan.fixed, _say)


def _say(sentence: str) -> None:
    print(f"sweep: {sentence}", file=sys.stderr)


def _machine(device: torch.device) -> str:
    """What rounds the sums of a trial."""
    threads = torch.get_num_threads()
    return f"cpu, {counted(threads, 'thread')}" if device.type == "cpu" else device.type


def _measure(
    params: Params, plan: Plan, subject: Subject, attempt: Attempt, tracked: tracking.Run
) -> Mapping[str, float]:
    if params.sweep.design == "search":
        return _searched(params, subject, attempt, tracked)
    cell = plan.cells[attempt.cell]
    attempt.given(plan.choices, {"varied": cell.varied, **values(cell)})
    tracked.parameters({"varied": cell.varied, **values(cell)})
    return subject.measure(cell.learning_rate, cell.roots)


def _searched(params: Params, subject: Subject, attempt: Attempt, tracked: tracking.Run) -> dict[str, float]:
    """The mean over seeds on validation data: a seed is never chosen."""
    space = params.sweep.space
    augmentation = space.augmentation if params.sweep.target == "classify" else 0.0
    decay = space.weight_decay if params.sweep.target == "classify" else (0.0, 0.0)
    drawn = attempt.drawn(Space(space.learning_rate, decay, augmentation))
    tracked.parameters(drawn)
    found: list[Mapping[str, float]] = []
    for seed in range(1, params.sweep.runs + 1):
        found.append(subject.tune(drawn, _roots(params.sweep.streams, seed)))
        mean = float(np.mean([each[params.sweep.objective] for each in found]))
        tracked.metrics({f"mean_{params.sweep.objective}": mean}, step=seed)
        if seed < params.sweep.runs and attempt.hopeless(mean, seed):
            break
    means = {name: float(np.mean([each[name] for each in found])) for name in found[0]}
    scores = [each[params.sweep.objective] for each in found]
    sd = float(np.std(scores, ddof=1)) if len(scores) > 1 else 0.0
    return {**means, f"{params.sweep.objective}_sd": sd}


def _roots(named: Sequence[SweptStream] | None, seed: int) -> StreamRoots:
    """The seed in every stream; where the sweep names streams, 0 in the others, as in its designs.

    All of them, not those alone that the recipe draws from: a search may add augmentation and its own validation part.
    """
    return StreamRoots(seed, {stream: 0 if named and stream not in named else seed for stream in STREAMS})


def _subject(params: Params, layout: Layout) -> Subject:
    rows = read_manifest(layout.manifest)
    if params.sweep.target == "classify":
        check_claims(rows, [params.swept_protocol])
        from leukosr.classify.subject import ClassifierSubject

        experiment = params.with_classifier(params.swept_arm, params.swept_recipe).classify[params.swept_arm]
        strength = params.sweep.space.augmentation if params.sweep.design == "search" else 0.0
        folders, protocol = arm_folders(params, layout), params.swept_protocol
        return ClassifierSubject(experiment, rows, folders, protocol, params.runtime, strength)
    rows = seen_from(params.trained_networks[0], rows, params.study)
    refuse_trained_tests(rows, params.study)
    from leukosr.superres.subject import SRSubject

    train, val = training_pairs(rows, params, params.swept_arm, layout)
    return SRSubject(
        params.swept_arm, swept_training(params), train, val, quality=params.quality, runtime=params.runtime
    )
