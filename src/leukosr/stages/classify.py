"""Train the classifiers of one arm, one a seed, and predict its test images."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from rich.console import Console
from torch import nn

from leukosr import tracking
from leukosr.classify.arm_data import ArmData, ArmImages, Split
from leukosr.classify.ensemble import together
from leukosr.classify.trainer import ClassifierTraining, predict, training_label
from leukosr.classify.weights import save_classifier
from leukosr.config import Params
from leukosr.data.manifest import check_disjoint, read_manifest, seen_by_classifiers
from leukosr.engine.device import choose_device
from leukosr.engine.processes import ALONE, Processes
from leukosr.engine.progress import progress
from leukosr.engine.resume import Resume, work_digest
from leukosr.errors import LeukoError
from leukosr.evaluate.classification import METRICS, Classification, mean_and_sd, score
from leukosr.files import new_folder, write_json
from leukosr.layout import Layout, image_file, require, require_all, stage_again
from leukosr.report.figures import budget_note, classifier_curves, confusion_figure
from leukosr.tables import read_own_table, write_frame


def run(
    params: Params,
    arm: str,
    console: Console,
    layout: Layout,
    *,
    seeds: list[int] | None = None,
    out: Path | None = None,
    processes: Processes = ALONE,
) -> None:
    """Train and test a classifier (or ensemble) for each seed; write predictions, history, figures, weights, metrics.

    Every finished seed is kept, so a cut stage goes on where it was.
    """
    if arm not in params.upscale:
        raise LeukoError(f"classify: unknown arm '{arm}'; the arms of this study are {', '.join(params.arms)}")
    rows = read_manifest(layout.manifest)
    folder = require(layout.arm(arm), f"upscale@{arm}")
    images = ArmImages(seen_by_classifiers(rows, params.study.protocols), folder, params.classify)
    if "source_disjoint" in params.study.protocols:
        check_disjoint(rows)
    work = [_Work(params, arm, ArmData(rows, protocol, images), seeds, layout) for protocol in params.study.protocols]
    if not processes.first:
        for each in work:
            _train_along(params, each.data, each.seeds, each.resume, processes)
        return
    data_digest = hashlib.sha256(layout.manifest.read_bytes()).hexdigest()
    tags = {
        "study": params.study.name, "stage": "classify", "arm": arm, "protocol": params.study.protocol,
        "budget": params.budget.name, "data_digest": data_digest[:16],
    }  # fmt: skip
    with tracking.run(f"classify {arm}", experiment=params.study.name, tags=tags) as tracked:
        count = {"n_seeds": len(work[0].seeds)}
        tracked.parameters({"arm": arm, "protocol": params.study.protocol, **count, **params.classify.model_dump()})
        tracked.data(layout.manifest, data_digest, params.study.name)
        for each in work:
            target = layout.classify(arm, each.data.protocol)
            if out is not None:
                target = out if len(work) == 1 else out / each.data.protocol
            metrics = _run_protocol(each, target, tags, tracked, alone=len(work) == 1, processes=processes)
            console.print(
                f"classify {arm} ({each.data.protocol}): accuracy {_percent(metrics, 'accuracy')}, macro F1 "
                f"{_percent(metrics, 'macro_f1')}, {len(each.seeds)} runs, {metrics['n_test']} test images -> {target}"
            )
    for each in work:
        each.resume.clear()


class _Work:
    """The classifiers of one arm under one protocol, and where a cut attempt left them."""

    def __init__(self, params: Params, arm: str, data: ArmData, seeds: list[int] | None, layout: Layout) -> None:
        self.params, self.arm, self.data = params, arm, data
        self.seeds = seeds or params.study.seeds
        files = [image_file(layout.arm(arm), row.id) for row in data.used_rows]
        used = require_all(files, stage_again(f"upscale@{arm}"))
        settings = [params.classify.model_dump(), arm, data.protocol, self.seeds]
        digest = work_digest(settings, [layout.manifest, *used])
        self.resume = Resume(digest, params.runtime.checkpoint_seconds)


def _run_protocol(
    work: _Work, target: Path, tags: dict[str, str], tracked: tracking.Run, *, alone: bool, processes: Processes
) -> dict[str, Any]:
    """All seeds under one protocol. A single one is logged in `tracked` itself, others in runs below it."""
    params, data, protocol = work.params, work.data, work.data.protocol
    with new_folder(target) as folder:
        for seed in work.seeds:
            if alone and len(work.seeds) == 1:
                tracked.parameters({"seed": seed})
                _run_seed(params, seed, data, work.resume, folder, tracked, processes)
                continue
            name = f"classify {work.arm}{'' if alone else f' {protocol}'} seed {seed}"
            own = {**tags, "seed": str(seed), "protocol": protocol}
            with tracking.run(name, experiment=params.study.name, tags=own, parent=tracked) as child:
                facts = {"arm": work.arm, "protocol": protocol, "seed": seed}
                child.parameters({**facts, **params.classify.model_dump()})
                _run_seed(params, seed, data, work.resume, folder, child, processes)
        metrics = _summarise(folder, work.arm, data, params, work.seeds, processes.count)
    prefix = "" if alone else f"{protocol}_"
    tracked.metrics({prefix + key: value for key, value in metrics.items() if not isinstance(value, dict | str)})
    for path in sorted(target.iterdir()):
        if path.name != "weights" or not params.runtime.log_models:  # else they are in the logged models
            below = [] if alone else [protocol]
            tracked.file(path, "/".join([*below, *([path.name] if path.is_dir() else [])]) or None)
    return metrics


def _percent(metrics: dict[str, Any], name: str) -> str:
    sd = metrics[f"{name}_sd"]
    return f"{100 * metrics[name]:.1f} %" + ("" if sd is None else f" ± {100 * sd:.1f}")


def _train_along(params: Params, data: ArmData, seeds: list[int], resume: Resume, processes: Processes) -> None:
    """Help the first process with every seed that it trains; it alone tests, writes and logs."""
    for seed, split, member in product(seeds, data.splits, range(params.classify.ensemble)):
        if processes.from_first(True):
            _training(params, seed, data, split, member, processes).run(resume, lambda row: None)


def _training(
    params: Params, seed: int, data: ArmData, split: Split, member: int, processes: Processes
) -> ClassifierTraining:
    return ClassifierTraining(
        params.classify, len(data.classes), split.train,
        seed=seed, name=split.name, member=member, device=choose_device(params.runtime.device),
        compiling=params.runtime.compile, processes=processes,
    )  # fmt: skip


def _run_seed(
    params: Params, seed: int, data: ArmData, resume: Resume, folder: Path, tracked: tracking.Run, processes: Processes
) -> None:
    """Train and test with one seed, each fold where there are any, and log the scores of all test images."""
    predictions = pd.concat(
        [_run_split(params, seed, data, split, resume, folder, tracked, processes) for split in data.splits]
    )
    scored = score(list(predictions["true"]), list(predictions["predicted"]), data.classes)
    tracked.metrics({name: getattr(scored, name) for name in METRICS})


def _run_split(
    params: Params, seed: int, data: ArmData, split: Split, resume: Resume, folder: Path, tracked: tracking.Run,
    processes: Processes,
) -> pd.DataFrame:  # fmt: skip
    """Train one classifier, or one ensemble, or take what a cut attempt finished, and test it; its predictions."""
    settings = params.classify
    trained = [
        _trained(params, seed, data, split, member, resume, folder, tracked, processes)
        for member in range(settings.ensemble)
    ]
    network = together(trained)
    probabilities = predict(network, split.test.images, settings, choose_device(params.runtime.device))
    weights = folder / "weights" / f"{training_label(seed, split.name)}.safetensors"
    save_classifier(weights, network, settings.backbone, data.classes, settings.size)
    predictions = _predictions(data, split, seed, probabilities)
    write_frame(folder / "predictions.csv", predictions)
    if params.runtime.log_models:
        example = np.stack([split.test.images[0]] * 2)
        tracked.model(weights, example, probabilities[:1].repeat(2, axis=0))
    return predictions


def _trained(
    params: Params, seed: int, data: ArmData, split: Split, member: int, resume: Resume, folder: Path,
    tracked: tracking.Run, processes: Processes,
) -> nn.Module:  # fmt: skip
    """One trained network, or the finished one of an earlier, cut attempt; its history is written and logged."""
    training = _training(params, seed, data, split, member, processes)
    finished = resume.load(f"finished-{training.label}")
    processes.from_first(finished is None)
    apart = {"fold": split.name} if split.name else {}
    apart |= {"member": f"member-{member + 1}"} if params.classify.ensemble > 1 else {}
    if finished is None:
        _train(training, "_".join(apart.values()), resume, tracked)
        model = {key: value.cpu() for key, value in training.result.state_dict().items()}
        resume.save(f"finished-{training.label}", {"model": model, "history": training.history.rows})
        resume.drop(training.label)
    else:
        training.result.load_state_dict(finished["model"])
        training.history.rows = finished["history"]
        for row in training.history.rows:
            _log_epoch(tracked, row, "_".join(apart.values()))
    write_frame(folder / "history.csv", pd.DataFrame(training.history.rows).assign(**apart))
    return training.result


def _train(training: ClassifierTraining, name: str, resume: Resume, tracked: tracking.Run) -> None:
    epochs = training.settings.epochs
    with progress(epochs, training.label) as advance:

        def report(row: dict[str, Any]) -> None:
            advance(1, f"loss {row['loss']:.3f}, training accuracy {100 * row['accuracy']:.1f} %")
            _log_epoch(tracked, row, name)

        training.run(resume, report)


def _log_epoch(tracked: tracking.Run, row: dict[str, Any], name: str = "") -> None:
    """`name` tells trainings of one run apart; it is empty where there is one."""
    prefix = f"{name}_" if name else ""
    values = {f"{prefix}train_loss": row["loss"], f"{prefix}train_accuracy": row["accuracy"]}
    tracked.metrics(values, step=row["epoch"])


def _predictions(data: ArmData, split: Split, seed: int, probabilities: np.ndarray) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "image": [row.id for row in split.test_rows],
            "source": [row.source for row in split.test_rows],
            "seed": seed,
            "true": [row.label for row in split.test_rows],
            "predicted": [data.classes[i] for i in probabilities.argmax(1)],
        }
    )
    for number, name in enumerate(data.classes):
        table[f"p_{name}"] = probabilities[:, number]
    return table


def _summarise(
    folder: Path, arm: str, data: ArmData, params: Params, seeds: list[int], processes: int
) -> dict[str, Any]:
    """metrics.json and the figures, from the files of all seeds."""
    predictions = read_own_table(folder / "predictions.csv")
    history = pd.read_csv(folder / "history.csv")
    scored: dict[int, Classification] = {}
    for seed in seeds:
        own = predictions[predictions["seed"] == str(seed)]
        scored[seed] = score(list(own["true"]), list(own["predicted"]), data.classes)
    sources = {row.source for row in data.test_rows if row.source}
    metrics: dict[str, Any] = {}
    for name in METRICS:
        metrics[name], metrics[f"{name}_sd"] = mean_and_sd([getattr(scored[seed], name) for seed in seeds])
    metrics |= {
        "n_runs": len(seeds),
        "n_train": round(float(np.mean([len(split.train_rows) for split in data.splits]))),
        "n_test": len(data.test_rows),
        "n_test_sources": len(sources) or None,
        "folds": len(data.splits) if data.splits[0].name else None,
        "per_class": {name: _class_means(scored, name) for name in data.classes},
        "per_seed": {str(s): {name: getattr(c, name) for name in METRICS} for s, c in scored.items()},
        "epochs": params.classify.epochs,
        "batch": params.classify.batch,
        "precision": params.classify.precision,
        "device": str(choose_device(params.runtime.device)),
        "threads": torch.get_num_threads(),
        "processes": processes,
        "seconds": round(float(history["seconds"].sum()), 1),
    }
    write_json(folder / "metrics.json", metrics)
    note = budget_note(params.budget)
    confusion_figure(folder / "confusion.png", arm, predictions, tuple(data.classes), note)
    classifier_curves(folder / "curves.png", arm, history, note)
    return metrics


def _class_means(scored: dict[int, Classification], name: str) -> dict[str, Any]:
    figures = [asdict(c.per_class[name]) for c in scored.values()]
    means = {key: float(np.mean([f[key] for f in figures])) for key in ("precision", "recall", "f1")}
    return {**means, "support": figures[0]["support"]}
