"""Train one super-resolution method: one network, or one per SR seed or fold."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from leukosr import tracking
from leukosr.config import Params
from leukosr.data.manifest import read_manifest
from leukosr.data.separation import refuse_trained_tests
from leukosr.data.sr_folds import seen_from
from leukosr.engine.device import choose_device
from leukosr.engine.precision import resolve_precision
from leukosr.engine.progress import progress
from leukosr.engine.resume import Resume, cleared_if_diverged, work_digest
from leukosr.errors import LeukoError
from leukosr.files import new_folder, write_json
from leukosr.layout import of_network
from leukosr.pretrained.named import weights_facts
from leukosr.quoting import decimal, meant
from leukosr.report.curves import sr_curves
from leukosr.report.grids import sample_grid
from leukosr.report.style import budget_note, training_look
from leukosr.stages.context import Context
from leukosr.stages.training_inputs import inputs_of, training_pairs, with_weights_of
from leukosr.stages.weight_notes import appearance_note
from leukosr.superres.progress import history_columns
from leukosr.superres.trainer import SRTraining
from leukosr.superres.weights import SHUFFLED_BY, save_generator
from leukosr.tracking.records import SYNC, of_study
from leukosr.tracking.training_record import TrainingRecord

SAMPLES = 4


def run(context: Context, name: str) -> None:
    """Run the training `name` on images with role sr_train; write weights, history, figures and metrics.

    With `study.sr_seeds` each seed trains a network of its own, into a folder of its own; so does each fold of a split
    that trains SR in folds. metrics.json sums them up, and every finished network is kept, so a cut stage goes on where
    it was.
    """
    params = context.params
    if name not in params.train_sr:
        known = ", ".join(params.train_sr) or "none in this study"
        raise LeukoError(f"this study has no training '{name}'; it trains {known}{meant(name, params.train_sr)}")
    target = context.out or context.layout.sr(name)
    networks, remedy = params.trained_networks, SYNC if context.out is None else ""
    if networks == (None,):
        resume, _ = _run_network(context, name, None, target, remedy)
        resume.clear()
        return
    if not context.processes.first:
        for network in networks:
            _run_network(context, name, network, target, remedy)
        return
    record = TrainingRecord(params, name, context.layout, target)
    works: list[tuple[Resume, dict[str, Any]]] = []
    with (
        tracking.run(
            record.name, experiment=params.study.name, tags=record.tags, remedy=remedy, watched="below"
        ) as tracked,
        new_folder(target) as folder,
        cleared_if_diverged(resume for resume, _ in works),
    ):
        trained = {"folds" if isinstance(networks[0], str) else "sr_seeds": list(networks)}
        tracked.parameters({**of_study(params), "arm": name, "training": name, **trained})
        for each in networks:
            own = folder / Path(of_network(name, each)).name
            works.append(_run_network(context, name, each, own, remedy, tracked))
        summary = {**trained, **_summary([metrics for _, metrics in works])}
        write_json(folder / "metrics.json", summary)
        tracked.metrics({key: value for key, value in summary.items() if isinstance(value, int | float)})
    for resume, _ in works:
        resume.clear()
    context.console.print(
        f"train_sr {name}: {len(works)} networks in {summary['seconds']:.0f} s, validation PSNR "
        f"{_shown(summary['last_val_psnr'])} dB on average -> {target}"
    )


def _run_network(
    context: Context,
    name: str,
    network: int | str | None,
    target: Path,
    remedy: str,
    parent: tracking.Run | None = None,
) -> tuple[Resume, dict[str, Any]]:
    """Train one network into `target`; what to clear once the stage is done, and its metrics (the first process)."""
    params, layout, processes = context.params, context.layout, context.processes
    seed = network if isinstance(network, int) else params.sr_seed(name)
    device = choose_device(params.runtime.device)
    settings = resolve_precision(with_weights_of(params.train_sr[name], network), device, processes)
    rows = seen_from(network, read_manifest(layout.manifest), params.study)
    refuse_trained_tests(rows, params.study)
    train, val = training_pairs(rows, params, name, layout)
    inputs = inputs_of(rows, params, name, layout, settings)  # which stops where a file is missing
    training = SRTraining(
        name,
        settings,
        train,
        val,
        ssim_window=params.quality.ssim_window,
        channels=params.quality.channels,
        seed=seed,
        device=device,
        compiling=params.runtime.compile,
        processes=processes,
    )
    shown = [part.model_dump() for part in (params.image, params.quality, params.degrade)]
    work = [settings.model_dump(exclude={"precision"}), *shown, params.study.seed, name, network]
    digest = work_digest(work, [layout.manifest, layout.roles, *inputs])
    resume = Resume.computed_in(settings.precision, digest, params.runtime.checkpoint_seconds)
    if not processes.first:
        training.run(resume, lambda *_: None)
        return resume, {}
    record = TrainingRecord(params.computed_in(settings.precision), name, layout, target, network)
    with tracking.run(
        record.name, experiment=params.study.name, tags=record.tags, remedy=remedy, parent=parent
    ) as tracked:
        record.begin(tracked)
        _train(training, resume, record, tracked)
        if network is not None:
            training.keep(resume)
        with new_folder(target) as folder:
            metrics = _write(training, params, folder)
        record.finish(tracked)
    context.console.print(
        f"{record.name}: {metrics['iterations']} iterations in {metrics['seconds']:.0f} s, validation PSNR "
        f"{_shown(metrics['last_val_psnr'])} dB (best {_shown(metrics['best_val_psnr'])})"
        + (f" -> {target}" if network is None else "")
    )
    return resume, metrics


def _shown(value: float | None) -> str:
    return "–" if value is None else decimal(value, 2)


def _train(training: SRTraining, resume: Resume, record: TrainingRecord, tracked: tracking.Run) -> None:
    with progress(training.iterations, f"train_sr {training.name}") as advance:
        shown = 0

        def report(iteration: int, row: dict[str, Any] | None) -> None:
            nonlocal shown
            note = "" if row is None or row["val_psnr"] is None else f"val PSNR {decimal(row['val_psnr'], 2)} dB"
            advance(iteration - shown, note)
            shown = iteration
            if row is not None:
                record.row(tracked, row)

        training.run(resume, report)


def _write(training: SRTraining, params: Params, folder: Path) -> dict[str, Any]:
    settings, done = training.settings, training.progress
    last = {k: v.detach().cpu().clone() for k, v in training.result.state_dict().items()}
    scale, arguments = training.train.scale, settings.generator.model_dump()
    header = {
        "study": params.study.name,
        "budget": params.budget.name,
        "iterations": str(done.iteration),
        "precision": settings.precision,
        "only_class": settings.only_class or "",
        **({"masks": f"{SHUFFLED_BY}{params.study.seed}"} if settings.shuffles_masks else {}),
        **appearance_note(params, len(training.train), training.train.lr.__getitem__),
    }
    best_header = {**header, "iterations": str(done.best_iteration)}
    if done.best:
        training.result.load_state_dict(done.best)
    save_generator(folder / "best.safetensors", training.result, settings.architecture, scale, arguments, best_header)
    training.result.load_state_dict(last)
    save_generator(folder / "last.safetensors", training.result, settings.architecture, scale, arguments, header)
    with (folder / "history.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, history_columns(done.history), lineterminator="\n")
        writer.writeheader()
        writer.writerows(done.history)
    metrics = _metrics(training)
    write_json(folder / "metrics.json", metrics)
    note = budget_note(params.budget)
    sr_curves(folder / "curves.png", training_look(params, training.name), pd.DataFrame(done.history), note)
    if len(training.val):
        indices = range(min(SAMPLES, len(training.val)))
        lr, hr = [training.val.lr[i] for i in indices], [training.val.hr[i] for i in indices]
        sr = [training.upscaled(i) for i in indices]
        sample_grid(folder / "samples.png", lr, sr, hr, note)
    return metrics


def _metrics(training: SRTraining) -> dict[str, Any]:
    done, final, judge = training.progress, training.progress.history[-1], training.discriminator
    return {
        "iterations": done.iteration,
        "best_iteration": done.best_iteration,
        "best_val_psnr": done.best_psnr if np.isfinite(done.best_psnr) else None,
        "best_val_ssim": next((r["val_ssim"] for r in done.history if r["iteration"] == done.best_iteration), None),
        "last_val_psnr": final["val_psnr"],
        "last_val_ssim": final["val_ssim"],
        "generator_parameters": sum(p.numel() for p in training.generator.parameters()),
        "discriminator_parameters": sum(p.numel() for p in judge.parameters()) if judge is not None else None,
        "n_train": len(training.train),
        "n_val": len(training.val),
        "patch": training.patch,
        "batch": training.settings.batch,
        "precision": training.settings.precision,
        "device": str(training.device),
        "threads": torch.get_num_threads(),
        "processes": training.processes.count,
        "seconds": round(done.seconds, 1),
        **({} if training.settings.watched is None else weights_facts(training.settings.watched)),
    }


def _summary(found: list[dict[str, Any]]) -> dict[str, Any]:
    """metrics.json of several networks: what all say alike, means of numbers, lists of words, the seconds of all."""
    summed: dict[str, Any] = {}
    for key, first in found[0].items():
        values = [each[key] for each in found]
        if all(value == first for value in values):
            summed[key] = first
        elif isinstance(first, str):
            summed[key] = values
        else:
            summed[key] = float(np.mean([value for value in values if value is not None]))
    return {**summed, "seconds": round(sum(each["seconds"] for each in found), 1)}
