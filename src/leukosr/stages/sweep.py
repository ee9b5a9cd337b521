"""Train one thing many times, to see how much chance moves it, or to tune it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
import torch
from rich.console import Console

from leukosr import tracking
from leukosr.config import Params
from leukosr.data.manifest import SR_ROLES, check_disjoint, for_classifiers, read_manifest, with_role
from leukosr.engine.parallel import count_workers
from leukosr.engine.progress import progress
from leukosr.engine.resume import work_digest
from leukosr.engine.seeding import Stream, StreamRoots, stream_seed
from leukosr.errors import LeukoError
from leukosr.evaluate.designs import Cell, Finished, factorial, independent_runs, streams_design
from leukosr.files import new_folder
from leukosr.layout import Layout, image_file, require, require_all, stage_again
from leukosr.report.sweep import said_in, write_sweep
from leukosr.trial_storage import storage_url
from leukosr.trial_store import Attempt, Space, TrialStore

POLL_SECONDS = 0.5


class Subject(Protocol):
    """What is trained: `measure` gives the metrics of one run, `tune` those that a search may look at."""

    device: torch.device

    def measure(self, learning_rate: float, roots: StreamRoots) -> Mapping[str, float]:
        """Train with the study's settings at a learning rate."""

    def tune(self, drawn: Mapping[str, float], roots: StreamRoots) -> Mapping[str, float]:
        """Train with drawn settings; validation scores."""


@dataclass(frozen=True)
class Plan:
    """What the sweep of a study is: its name in the storage, its cells (empty for a search) and how many there are."""

    name: str
    cells: list[Cell]
    count: int


def run(
    params: Params,
    console: Console,
    layout: Layout,
    out: Path | None = None,
    workers: int = 1,
    params_file: Path = Path("params.yaml"),
    take_over: bool = False,
) -> None:
    """Make every trial of the sweep, in `workers` processes, and write trials.csv, what they say, and figures.

    The processes read `params_file` anew. `take_over` gives up what processes of other machines have under way.

    Trials are kept in the storage: a cut sweep goes on where it was, and other machines may take part in it.
    """
    plan = _plan(params, layout)
    store = _open(params, plan)
    target = out or layout.sweep
    tags = {"study": params.study.name, "stage": "sweep", "arm": params.swept_arm, "protocol": params.swept_protocol,
            "budget": params.budget.name}  # fmt: skip
    with tracking.run(
        f"sweep {params.swept_arm}", experiment=params.study.name, tags=tags, again=store.attribute("mlflow_run_id")
    ) as tracked:
        if tracked.run_id is not None and store.attribute("mlflow_run_id") != tracked.run_id:
            store.keep("mlflow_run_id", tracked.run_id)
        tracked.parameters({"optuna_study": plan.name, **params.sweep.model_dump(), **_training_settings(params)})
        store.start(_fixed(params, plan), take_over=take_over)
        if workers > 1:
            _in_processes(store, workers, params_file, tracked.run_id)
            torch.set_num_threads(_threads(workers))  # rounding depends on it
        work(params, layout, plan, store, tracked)  # alone, or what the processes left
        tracking.end_lost(store.abandoned_runs())
        finished = store.finished()
        _refuse_failures(finished, plan)
        with new_folder(target) as folder:
            facts: dict[str, Any] = {"optuna_study": plan.name}
            if params.sweep.design == "search":
                facts["importances"] = store.importances()
            summary = write_sweep(params, finished, facts, folder)
        tracked.metrics(summary)
        tracked.file(target)
        store.attach(sorted(target.glob("*.png")))
    failed = sum(trial.error is not None for trial in finished)
    console.print(
        f"sweep {params.swept_arm}: {len(finished)} trials ({params.sweep.design}"
        + (f", {failed} failed" if failed else "")
        + f"), trials' study {plan.name} -> {target}"
    )
    for sentence in said_in(target):
        console.print(sentence)


def _refuse_failures(finished: Sequence[Finished], plan: Plan) -> None:
    """Stop where too few trials succeeded to say anything."""
    errors = [trial.error for trial in finished if trial.error is not None]
    least = min(2, plan.count) if plan.cells else 1
    if len(finished) - len(errors) < least:
        many = "every trial" if len(errors) == len(finished) else f"{len(errors)} of {len(finished)} trials"
        raise LeukoError(f"sweep: {many} failed, the first one so: {errors[0]}")


def join(params: Params, layout: Layout, name: str, parent_id: str | None) -> None:
    """Help with the trials of a sweep that another process has started.

    name: that of its trials' study; parent_id: its run in MLflow.
    """
    plan = _plan(params, layout)
    if plan.name != name:
        raise LeukoError(f"sweep: parameters, images or code are those of {plan.name}, not of {name}: start it again")
    work(params, layout, plan, _open(params, plan), parent_id=parent_id)


def work(
    params: Params, layout: Layout, plan: Plan, store: TrialStore, around: tracking.Run | None = None,
    parent_id: str | None = None,
) -> None:  # fmt: skip
    """Make trials until all are done. Images are only read where there is something to do.

    around: the sweep's run in MLflow, where this process has opened it; else parent_id is that run's.
    """
    if len(store.finished()) == plan.count:
        return
    subject = _subject(params, layout)
    experiment = params.study.name
    with progress(plan.count, "sweep") as advance:
        shown = len(store.finished())
        advance(shown, "")

        def measure(attempt: Attempt) -> Mapping[str, float]:
            nonlocal shown
            tags = {"study": experiment, "stage": "sweep", "arm": params.swept_arm, "trial": str(attempt.number)}
            name = f"sweep {params.swept_arm} trial {attempt.cell}"
            with tracking.run(name, experiment=experiment, tags=tags, parent=around, parent_id=parent_id) as tracked:
                attempt.note(mlflow_run_id=tracked.run_id, ran_on=_machine(subject.device))
                metrics = _measure(params, plan, subject, attempt, tracked)
                tracked.metrics(metrics)
            done = len(store.finished()) + 1
            advance(max(0, done - shown), f"{params.sweep.objective} {metrics[params.sweep.objective]:.3f}")
            shown = max(done, shown)
            return metrics

        store.work(measure, _fixed(params, plan), _say)


def _say(sentence: str) -> None:
    print(f"sweep: {sentence}", file=sys.stderr)


def _machine(device: torch.device) -> str:
    """What rounds the sums of a trial."""
    threads = torch.get_num_threads()
    return f"cpu, {threads} {'thread' if threads == 1 else 'threads'}" if device.type == "cpu" else device.type


def _measure(
    params: Params, plan: Plan, subject: Subject, attempt: Attempt, tracked: tracking.Run
) -> Mapping[str, float]:
    if params.sweep.design == "search":
        return _searched(params, subject, attempt, tracked)
    cell = plan.cells[attempt.cell]
    attempt.given(_choices(params, plan), {"varied": cell.varied, **_values(cell)})
    tracked.parameters({"varied": cell.varied, **_values(cell)})
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
        found.append(subject.tune(drawn, StreamRoots(seed, dict.fromkeys(params.swept_streams, seed))))
        mean = float(np.mean([each[params.sweep.objective] for each in found]))
        tracked.metrics({f"mean_{params.sweep.objective}": mean}, step=seed)
        if seed < params.sweep.runs and attempt.hopeless(mean, seed):
            break
    means = {name: float(np.mean([each[name] for each in found])) for name in found[0]}
    return {**means, f"{params.sweep.objective}_sd": float(np.std([e[params.sweep.objective] for e in found], ddof=1))
            if len(found) > 1 else 0.0}  # fmt: skip


def _plan(params: Params, layout: Layout) -> Plan:
    """The cells, and a name that changes with everything that they depend on."""
    sweep = params.sweep
    if sweep.design == "search":
        cells, count = [], sweep.trials
    else:
        streams: Sequence[Stream] = params.swept_streams
        if sweep.design == "factorial":
            cells = factorial(sweep.learning_rates, sweep.runs, streams, params.study.seed)
        elif sweep.design == "runs":
            cells = independent_runs(sweep.learning_rates, sweep.runs, streams)
        else:
            cells = streams_design(sweep.learning_rates[0], sweep.runs, sweep.repeats, streams)
        count = len(cells)
    image, window = params.image.model_dump(), params.quality.ssim_window
    settings = [sweep.model_dump(), image, params.study.seed, window, _training_settings(params)]
    digest = work_digest(settings, _inputs(params, layout))
    return Plan(f"{params.study.name}-{params.swept_arm}-{sweep.design}-{digest[:12]}", cells, count)


def _training_settings(params: Params) -> dict[str, dict[str, Any]]:
    """What trains, under the name of its section, without what the sweep says itself."""
    if params.sweep.target == "classify":
        return {"classify": params.classify.model_dump(exclude={"epochs", "learning_rate"})}
    return {"train_sr": params.train_sr[params.swept_arm].model_dump()}


def _inputs(params: Params, layout: Layout) -> list[Path]:
    rows = read_manifest(layout.manifest)
    if params.sweep.target == "classify":
        folder = require(layout.arm(params.swept_arm), f"upscale@{params.swept_arm}")
        used = [row for row in rows if for_classifiers(row.role(params.swept_protocol))]
        files = [image_file(folder, row.id) for row in used]
        return [layout.manifest, *require_all(files, stage_again(f"upscale@{params.swept_arm}"))]
    require(layout.lr, "degrade")
    files = [image_file(layout.lr, row.id) for row in with_role(rows, params.study.sr_protocol, *SR_ROLES)]
    return [layout.manifest, *require_all(files, stage_again("degrade"))]


def _open(params: Params, plan: Plan) -> TrialStore:
    return TrialStore(
        storage_url(params.runtime.optuna_storage), plan.name, plan.count,
        heartbeat_seconds=params.runtime.heartbeat_seconds, metric=params.sweep.objective,
        seed=stream_seed(params.study.seed, "order", "search"),
    )  # fmt: skip


def _values(cell: Cell) -> dict[str, float | int]:
    return {"learning_rate": cell.learning_rate, **{str(stream): seed for stream, seed in cell.seeds.items()}}


def _choices(params: Params, plan: Plan) -> dict[str, list[Any]]:
    """The values that each parameter of a design takes."""
    columns: dict[str, set[Any]] = {}
    for cell in plan.cells:
        for name, value in _values(cell).items():
            columns.setdefault(name, set()).add(value)
    return {name: sorted(values) for name, values in columns.items()}


def _fixed(params: Params, plan: Plan) -> list[dict[str, Any]]:
    """The parameters of every cell; those of a search are drawn when its trial begins."""
    return [_values(cell) for cell in plan.cells] or [{} for _ in range(plan.count)]


def _subject(params: Params, layout: Layout) -> Subject:
    rows = read_manifest(layout.manifest)
    if params.sweep.target == "classify":
        if params.swept_protocol == "source_disjoint":
            check_disjoint(rows)
        from leukosr.classify.subject import ClassifierSubject

        return ClassifierSubject(params, rows, layout.arm(params.swept_arm), params.swept_protocol)
    from leukosr.stages.train_sr import pairs_of
    from leukosr.superres.subject import SRSubject

    train, val = (pairs_of(rows, role, params, layout) for role in SR_ROLES)
    if not len(val):
        raise LeukoError("sweep: no image has the role sr_val: give every class two or more images to train SR on")
    return SRSubject(params, params.swept_arm, train, val)


def _threads(workers: int) -> int:
    """Threads of each of so many processes."""
    return max(1, count_workers("auto") // workers)


def _in_processes(store: TrialStore, workers: int, params_file: Path, parent_id: str | None) -> None:
    """Let so many processes make trials, each with its part of the cores, and wait until they have ended.

    One that is killed leaves its trial to the others. Raises LeukoError where all end with a mistake.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": str(_threads(workers))}
    environment.pop("MLFLOW_RUN_ID", None)
    command = [sys.executable, "-m", "leukosr", "sweep", "--join", store.name, "--params", str(params_file)]
    if parent_id is not None:
        command += ["--parent", parent_id]
    with ExitStack() as stack:
        said = [stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8")) for _ in range(workers)]
        processes = [subprocess.Popen(command, env=environment, stderr=file) for file in said]
        try:
            with progress(store.cells, "sweep") as advance:
                shown = 0
                while any(process.poll() is None for process in processes):
                    done = len(store.finished())
                    advance(done - shown, f"{sum(process.poll() is None for process in processes)} processes")
                    shown = done
                    time.sleep(POLL_SECONDS)
        finally:
            for process in processes:
                if process.poll() is None:
                    process.terminate()
                    process.wait()
        failed = [number for number, process in enumerate(processes) if process.returncode]
        words = [_last_line(said[number]) for number in failed]
    if len(failed) == workers:
        raise LeukoError(f"sweep: every process failed, the first one so: {words[0]}")
    for number, word in zip(failed, words, strict=True):
        print(f"sweep: process {number + 1} ended early: {word}", file=sys.stderr)


def _last_line(file: IO[str]) -> str:
    """What a process said last, without the word `error`."""
    file.seek(0)
    lines = [line.strip() for line in file if line.strip()]
    return lines[-1].removeprefix("error: ") if lines else "it was killed"
