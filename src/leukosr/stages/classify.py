"""Train the classifiers of one arm, one a seed, and predict its test images."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from rich.console import Console

from leukosr import tracking
from leukosr.classify.trainer import ClassifierTraining, LabelledImages, predict
from leukosr.classify.weights import save_classifier
from leukosr.config import Params, Protocol
from leukosr.data.images import read_rgb
from leukosr.data.manifest import Row, check_disjoint, read_manifest, with_role
from leukosr.data.store import ImageStore
from leukosr.engine.device import choose_device
from leukosr.engine.processes import ALONE, Processes
from leukosr.engine.progress import progress
from leukosr.engine.resume import Resume, work_digest
from leukosr.errors import LeukoError
from leukosr.evaluate.classification import METRICS, Classification, mean_and_sd, score
from leukosr.files import new_folder, write_json
from leukosr.layout import Layout, image_file, require
from leukosr.report.figures import budget_note, classifier_curves, confusion_figure


class ArmData:
    """The images of one arm as the classifiers see them: training and test part, and the classes."""

    def __init__(self, rows: list[Row], protocol: Protocol, images: Path) -> None:
        self.protocol = protocol
        self.test_rows = with_role(rows, protocol, "classifier_test")
        self.train_rows = with_role(rows, protocol, "classifier_train")
        self.classes = sorted({row.label for row in self.train_rows + self.test_rows})
        self.train = self._part(self.train_rows, images)
        self.test = self._part(self.test_rows, images)

    def _part(self, rows: list[Row], images: Path) -> LabelledImages:
        files = [image_file(images, row.id) for row in rows]
        labels = np.array([self.classes.index(row.label) for row in rows], dtype=np.int64)
        return LabelledImages(ImageStore(files, read_rgb), labels)


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
    """Train and test one classifier for each seed; write predictions, history, figures, weights, metrics.

    Every finished seed is kept, so a cut stage goes on where it was.
    """
    if arm not in params.upscale:
        raise LeukoError(f"classify: unknown arm '{arm}'; the arms of this study are {', '.join(params.arms)}")
    rows = read_manifest(layout.manifest)
    images = require(layout.arm(arm), f"upscale@{arm}")
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
        used = [image_file(layout.arm(arm), row.id) for row in data.train_rows + data.test_rows]
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
    for seed in seeds:
        if processes.from_first(True):
            _training(params, seed, data, processes).run(resume, lambda row: None)


def _training(params: Params, seed: int, data: ArmData, processes: Processes) -> ClassifierTraining:
    device = choose_device(params.runtime.device)
    return ClassifierTraining(
        params.classify, len(data.classes), data.train, seed=seed, device=device, processes=processes
    )


def _run_seed(
    params: Params, seed: int, data: ArmData, resume: Resume, folder: Path, tracked: tracking.Run, processes: Processes
) -> None:
    """Train and test with one seed, or take the finished run of an earlier, cut attempt."""
    weights = folder / "weights" / f"seed-{seed}.safetensors"
    finished = resume.load(f"finished-{seed}")
    training = _training(params, seed, data, processes)
    processes.from_first(finished is None)
    if finished is None:
        _train(training, resume, tracked)
        probabilities = predict(training.model, data.test.images, params.classify, training.device)
        finished = {
            "model": {k: v.cpu() for k, v in training.model.state_dict().items()},
            "probabilities": torch.from_numpy(probabilities),
            "history": training.history.rows,
        }
        resume.save(f"finished-{seed}", finished)
        resume.drop(f"seed-{seed}")
    else:
        training.model.load_state_dict(finished["model"])
        for row in finished["history"]:
            _log_epoch(tracked, row)
    save_classifier(weights, training.model, params.classify.backbone, data.classes)
    probabilities = finished["probabilities"].numpy()
    predictions = _predictions(data, seed, probabilities)
    _append(folder / "predictions.csv", predictions)
    _append(folder / "history.csv", pd.DataFrame(finished["history"]))
    scored = score(list(predictions["true"]), list(predictions["predicted"]), data.classes)
    tracked.metrics({name: getattr(scored, name) for name in METRICS})
    if params.runtime.log_models:
        example = np.stack([data.test.images[0]] * 2)
        tracked.model(weights, example, probabilities[:1].repeat(2, axis=0))


def _train(training: ClassifierTraining, resume: Resume, tracked: tracking.Run) -> None:
    epochs = training.settings.epochs
    with progress(epochs, f"seed {training.seed}") as advance:

        def report(row: dict[str, Any]) -> None:
            advance(1, f"loss {row['loss']:.3f}, training accuracy {100 * row['accuracy']:.1f} %")
            _log_epoch(tracked, row)

        training.run(resume, report)


def _log_epoch(tracked: tracking.Run, row: dict[str, Any]) -> None:
    tracked.metrics({"train_loss": row["loss"], "train_accuracy": row["accuracy"]}, step=row["epoch"])


def _predictions(data: ArmData, seed: int, probabilities: np.ndarray) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "image": [row.id for row in data.test_rows],
            "source": [row.source for row in data.test_rows],
            "seed": seed,
            "true": [row.label for row in data.test_rows],
            "predicted": [data.classes[i] for i in probabilities.argmax(1)],
        }
    )
    for number, name in enumerate(data.classes):
        table[f"p_{name}"] = probabilities[:, number]
    return table


def _append(path: Path, table: pd.DataFrame) -> None:
    table.to_csv(path, mode="a", header=not path.exists(), index=False, lineterminator="\n")


def _summarise(
    folder: Path, arm: str, data: ArmData, params: Params, seeds: list[int], processes: int
) -> dict[str, Any]:
    """metrics.json and the figures, from the files of all seeds."""
    predictions = pd.read_csv(folder / "predictions.csv", keep_default_na=False)
    history = pd.read_csv(folder / "history.csv")
    scored: dict[int, Classification] = {}
    for seed in seeds:
        own = predictions[predictions["seed"] == seed]
        scored[seed] = score(list(own["true"]), list(own["predicted"]), data.classes)
    sources = {row.source for row in data.test_rows if row.source}
    metrics: dict[str, Any] = {}
    for name in METRICS:
        metrics[name], metrics[f"{name}_sd"] = mean_and_sd([getattr(scored[seed], name) for seed in seeds])
    metrics |= {
        "n_runs": len(seeds),
        "n_train": len(data.train_rows),
        "n_test": len(data.test_rows),
        "n_test_sources": len(sources) or None,
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
