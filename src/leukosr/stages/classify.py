"""Train the classifiers of one experiment, one per seed and SR seed, and predict its test images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from leukosr import tracking
from leukosr.classify.ensemble import together
from leukosr.classify.experiment_data import ExperimentData, Split
from leukosr.classify.trainer import ClassifierTraining, predict, training_label
from leukosr.classify.weights import save_classifier
from leukosr.engine.device import choose_device
from leukosr.engine.precision import resolve_precision
from leukosr.engine.progress import progress
from leukosr.engine.resume import Resume, cleared_if_diverged
from leukosr.errors import LeukoError
from leukosr.evaluate.arms.declared import Origin, write_sidecar
from leukosr.evaluate.arms.pairs import Run
from leukosr.evaluate.classification import METRICS, Classification, class_means, mean_and_sd, score
from leukosr.files import new_folder, write_json
from leukosr.pretrained.named import weights_facts
from leukosr.quoting import counted, meant
from leukosr.report.charts import confusion_figure
from leukosr.report.curves import classifier_curves
from leukosr.report.style import budget_note, experiment_looks
from leukosr.stages.classifier_work import Work, works_of
from leukosr.stages.context import Context
from leukosr.stages.weight_notes import classifier_note
from leukosr.tables import read_own_table, write_frame
from leukosr.tracking.classifier_record import ClassifierRecord, log_epoch
from leukosr.tracking.records import SYNC

Log = Callable[[dict[str, Any]], None]  # hears of every epoch


def run(context: Context, name: str, seeds: list[int] | None = None) -> None:
    """Train and test a classifier (or ensemble) for each seed; write predictions, history, figures, weights, metrics.

    With `study.sr_seeds` an experiment on images by a training has every seed within every SR seed, and its tables
    have a column sr_seed. Every finished seed is kept, so a cut stage goes on where it was.
    """
    params, layout, processes = context.params, context.layout, context.processes
    if not params.study.classifies:
        raise LeukoError("study.measures names no classification, so this study trains no classifiers")
    if name not in params.classify:
        known = params.classify
        raise LeukoError(
            f"this study has no arm or experiment '{name}'; it classifies {', '.join(known)}{meant(name, known)}"
        )
    recipe = resolve_precision(params.classify[name].classifier, choose_device(params.runtime.device), processes)
    context = replace(context, params=params.with_classifier(name, recipe))
    work = works_of(context, name, seeds)
    if not processes.first:
        for each in work:
            _train_along(each)
        return
    targets: dict[str, Path] = {each.data.protocol: layout.classify(name, each.data.protocol) for each in work}
    if (out := context.out) is not None:
        targets = {protocol: out if len(work) == 1 else out / protocol for protocol in targets}
    record = ClassifierRecord(context.params, name, layout, work[0].seeds, targets, tuple(work[0].by_network))
    remedy = "" if out else SYNC
    with (
        tracking.run(
            record.name, experiment=params.study.name, tags=record.tags, remedy=remedy, watched=record.watched
        ) as tracked,
        cleared_if_diverged(each.resume for each in work),
    ):
        record.begin(tracked)
        for each in work:
            target = targets[each.data.protocol]
            metrics = _run_protocol(each, target, record, tracked)
            context.console.print(
                f"classify {name} ({each.data.protocol}): accuracy {_percent(metrics, 'accuracy')}, macro F1 "
                f"{_percent(metrics, 'macro_f1')}, {counted(len(each.runs), 'run')}, "
                f"{counted(metrics['n_test'], 'test image')} -> {target}"
            )
        record.finish(tracked)
    for each in work:
        each.resume.clear()


def _run_protocol(work: Work, target: Path, record: ClassifierRecord, tracked: tracking.Run) -> dict[str, Any]:
    """All seeds under one protocol."""
    protocol = work.data.protocol
    with new_folder(target) as folder:
        for run in work.runs:
            with record.of_run(tracked, protocol, run) as child:
                _train_and_test(work, run, folder, record, child)
        claims = work.params.claims
        if claims is not None and work.seeds == claims.seeds:  # not where --seed asked for another run
            write_sidecar(folder, Origin(work.name, protocol, claims))
        metrics = _summarise(folder, work)
    record.finish_protocol(tracked, protocol)
    return metrics


def _percent(metrics: dict[str, Any], name: str) -> str:
    sd = metrics[f"{name}_sd"]
    return f"{100 * metrics[name]:.1f} %" + ("" if sd is None else f" ± {100 * sd:.1f}")


def _train_along(work: Work) -> None:
    """Help the first process with every classifier that it trains; it alone tests, writes and logs."""
    for run, split, member in product(work.runs, work.data.splits, range(work.recipe.ensemble)):
        if work.processes.from_first(True):
            work.training(run, split, member).run(work.resume, lambda _: None)


def _train_and_test(work: Work, run: Run, folder: Path, record: ClassifierRecord, tracked: tracking.Run) -> None:
    """Train and test the classifier of a run, each fold where there are any, and log the scores of all test images."""
    log = partial(log_epoch, tracked)
    predictions = pd.concat([_run_split(work, run, split, folder, log) for split in work.data.splits])
    scored = score(list(predictions["true"]), list(predictions["predicted"]), work.data.classes)
    record.finish_run(tracked, run, {name: getattr(scored, name) for name in METRICS}, folder)


def _run_split(work: Work, run: Run, split: Split, folder: Path, log: Log) -> pd.DataFrame:
    """Train one classifier, or one ensemble, or take what a cut attempt finished, and test it; its predictions."""
    recipe, data = work.recipe, work.by_network[run.sr_seed]
    network = together([_trained(work, run, split, each, folder, log) for each in range(recipe.ensemble)])
    probabilities = predict(network, data.test(split).images, recipe, work.device)
    weights = folder / "weights" / f"{training_label(run.seed, work.label(run, split))}.safetensors"
    note = classifier_note(work.params, work.name, data, split, run.seed, network)
    save_classifier(weights, network, recipe, data.classes, recipe.size, note)
    predictions = _predictions(data, split, run, probabilities)
    write_frame(folder / "predictions.csv", predictions)
    return predictions


def _trained(work: Work, run: Run, split: Split, member: int, folder: Path, log: Log) -> nn.Module:
    """One trained network, or the finished one of an earlier, cut attempt; its history is written and logged."""
    training, resume = work.training(run, split, member), work.resume
    finished = resume.load(f"finished-{training.label}")
    work.processes.from_first(finished is None)
    nested = {} if run.sr_seed is None else {"sr_seed": run.sr_seed}
    apart = {"fold": split.name} if split.name else {}
    apart |= {"member": f"member-{member + 1}"} if work.recipe.ensemble > 1 else {}

    def log_row(row: dict[str, Any]) -> None:
        log({**row, **apart})

    if finished is None:
        _train(training, resume, log_row)
        model = {key: value.cpu() for key, value in training.result.state_dict().items()}
        resume.save(f"finished-{training.label}", {"model": model, "history": training.history.rows})
        resume.drop(training.label)
    else:
        training.result.load_state_dict(finished["model"])
        training.history.rows = finished["history"]
        for row in training.history.rows:
            log_row(row)
    write_frame(folder / "history.csv", pd.DataFrame(training.history.rows).assign(**nested, **apart))
    return training.result


def _train(training: ClassifierTraining, resume: Resume, log: Log) -> None:
    epochs = training.settings.epochs
    with progress(epochs, training.label) as advance:

        def report(row: dict[str, Any]) -> None:
            advance(1, f"loss {row['loss']:.3f}, training accuracy {100 * row['accuracy']:.1f} %")
            log(row)

        training.run(resume, report)


def _predictions(data: ExperimentData, split: Split, run: Run, probabilities: np.ndarray) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "image": [row.id for row in split.test_rows],
            "source": [row.source for row in split.test_rows],
            "seed": run.seed,
            **({} if run.sr_seed is None else {"sr_seed": run.sr_seed}),
            "true": [row.label for row in split.test_rows],
            "predicted": [data.classes[i] for i in probabilities.argmax(1)],
        }
    )
    for number, name in enumerate(data.classes):
        table[f"p_{name}"] = probabilities[:, number]
    return table


def _summarise(folder: Path, work: Work) -> dict[str, Any]:
    """metrics.json and the figures, from the files of all runs."""
    data, runs, recipe = work.data, work.runs, work.recipe
    predictions = read_own_table(folder / "predictions.csv")
    history = pd.read_csv(folder / "history.csv")
    scored: dict[str, Classification] = {}
    for run in runs:
        own = predictions[predictions["seed"] == str(run.seed)]
        own = own if run.sr_seed is None else own[own["sr_seed"] == str(run.sr_seed)]
        scored[run.label] = score(list(own["true"]), list(own["predicted"]), data.classes)
    sources = {row.source for row in data.test_rows if row.source}
    metrics: dict[str, Any] = {}
    for each in METRICS:
        metrics[each], metrics[f"{each}_sd"] = mean_and_sd([getattr(found, each) for found in scored.values()])
    metrics |= {
        "n_runs": len(runs),
        **({} if runs[0].sr_seed is None else {"n_sr_seeds": len(work.by_network)}),
        "n_train": round(
            float(np.mean([len(data.train(split, s)[0].labels) for s in work.seeds for split in data.splits]))
        ),
        "n_test": len(data.test_rows),
        "n_test_sources": len(sources) or None,
        "folds": len(data.splits) if data.splits[0].name else None,
        "per_class": {name: class_means(list(scored.values()), name) for name in data.classes},
        "per_seed": {label: {name: getattr(c, name) for name in METRICS} for label, c in scored.items()},
        "epochs": _epochs_run(history),
        "batch": recipe.batch,
        "precision": recipe.precision,
        "device": str(work.device),
        "threads": torch.get_num_threads(),
        "processes": work.processes.count,
        "seconds": round(float(history["seconds"].sum()), 1),
        **({} if recipe.weight_file is None else weights_facts(recipe.weights)),
    }
    write_json(folder / "metrics.json", metrics)
    note, look = budget_note(work.params.budget), experiment_looks(work.params)[work.name]
    confusion_figure(folder / "confusion.png", look, predictions, tuple(data.classes), note)
    classifier_curves(folder / "curves.png", look, history, note)
    return metrics


def _epochs_run(history: pd.DataFrame) -> float:
    """Epochs per training: the mean where some stopped early."""
    keys = [name for name in ("seed", "sr_seed", "fold", "member") if name in history]
    mean = float(history.groupby(keys).size().mean())
    return int(mean) if mean.is_integer() else round(mean, 2)
