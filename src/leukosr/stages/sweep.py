"""Train one thing many times, to see how much chance moves it, or to tune it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from leukosr import tracking
from leukosr.config import Params
from leukosr.engine.databases import storage_url
from leukosr.engine.device import choose_device
from leukosr.engine.precision import resolve_precision
from leukosr.engine.seeding import stream_seed
from leukosr.errors import LeukoError
from leukosr.evaluate.runs.designs import Finished
from leukosr.files import new_folder
from leukosr.quoting import counted
from leukosr.report.sweep import sweep_sentences, write_sweep
from leukosr.stages.context import Context
from leukosr.stages.sweep_plan import Plan, plan_sweep
from leukosr.stages.sweep_trials import work
from leukosr.tracking.records import SYNC
from leukosr.tracking.sweep_record import SweepRecord
from leukosr.tracking.trial_store import TrialStore
from leukosr.tracking.trial_workers import make_trials, threads_each

LOCKS = Path(".leukosr/locks")


def run(context: Context, workers: int = 1, params_file: Path = Path("params.yaml"), take_over: bool = False) -> None:
    """Make every trial of the sweep, in `workers` processes, and write trials.csv, what they say, and figures.

    The processes read `params_file` anew. `take_over` gives up what processes of other machines have under way.

    Trials are kept in the storage: a cut sweep goes on where it was, and other machines may take part in it.
    """
    if not context.params.trains:
        with new_folder(context.out or context.layout.sweep):
            context.console.print("sweep: this study trains nothing, so there is nothing to repeat")
        return
    params, layout, console = _resolve_precision(context.params), context.layout, context.console
    for sentence in _own_epochs(params):
        console.print(sentence)
    plan = plan_sweep(params, layout)
    store = _open(params, plan)
    target = context.out or layout.sweep
    record = SweepRecord(params, target)
    with tracking.run(
        record.name,
        experiment=params.study.name,
        tags=record.tags,
        again=store.attribute("mlflow_run_id"),
        remedy=SYNC if context.out is None else "",
        watched="below",
    ) as tracked:
        if tracked.run_id is not None and store.attribute("mlflow_run_id") != tracked.run_id:
            store.keep("mlflow_run_id", tracked.run_id)
        store.describe(*_description(params))
        record.begin(tracked, plan.name)
        store.start(plan.fixed, take_over=take_over)
        if workers > 1:
            make_trials(store, workers, params_file, tracked.run_id)
            torch.set_num_threads(threads_each(workers))  # rounding depends on it
        work(params, layout, plan, store, record, tracked)  # alone, or what the processes left
        tracking.end_lost(store.abandoned_runs())
        finished = store.finished()
        _refuse_failures(finished, plan)
        with _alone(params):
            with new_folder(target) as folder:
                facts: dict[str, Any] = {"optuna_study": plan.name, "precision": record.precision}
                if params.sweep.design == "search":
                    facts["importances"] = store.importances()
                write_sweep(params, finished, facts, folder)
            record.finish(tracked, complete=all(trial.run_id for trial in finished))
            store.attach(sorted(target.glob("*.png")))
    failed = sum(trial.error is not None for trial in finished)
    console.print(
        f"sweep {params.swept_arm}: {counted(len(finished), 'trial')} ({params.sweep.design}"
        + (f", {failed} failed" if failed else "")
        + f"), trials' study {plan.name} -> {target}"
    )
    for sentence in sweep_sentences(target):
        console.print(sentence)


def _description(params: Params) -> tuple[dict[str, str], str]:
    """What the trials' study is about, for whoever opens it in Optuna's dashboard."""
    facts = {
        "study": params.study.name,
        "arm": params.swept_arm,
        "protocol": params.swept_protocol,
        "budget": params.budget.name,
        "design": params.sweep.design,
    }
    chosen = "Settings may be chosen by these scores, which are of validation images; seeds may not."
    spread = "The trials show how far runs lie apart: the best one is luck, so its seeds are not to be chosen."
    note = chosen if params.sweep.design == "search" else spread
    return facts, f"{params.swept_arm} under {params.swept_protocol}, budget {params.budget.name}. {note}"


def _own_epochs(params: Params) -> Iterator[str]:
    """Where sweep.epochs replaces the epochs of the recipe: from how many to how many."""
    if params.sweep.target == "classify":
        study, swept = params.classify[params.swept_arm].classifier.epochs, params.swept_recipe.epochs
        if study != swept:
            yield f"sweep {params.swept_arm}: {swept} epochs by sweep.epochs, where the study's recipe has {study}"


def _alone(params: Params) -> FileLock:
    """Held while a sweep writes: its processes, and others that were started beside it, end at the same moment."""
    LOCKS.mkdir(parents=True, exist_ok=True)
    return FileLock(LOCKS / f"sweep-{params.study.name}.lock")


def _refuse_failures(finished: Sequence[Finished], plan: Plan) -> None:
    """Stop where too few trials succeeded to say anything."""
    errors = [trial.error for trial in finished if trial.error is not None]
    least = min(2, plan.count) if plan.cells else 1
    if len(finished) - len(errors) < least:
        many = "every trial" if len(errors) == len(finished) else f"{len(errors)} of {len(finished)} trials"
        raise LeukoError(f"{many} failed, the first one so: {errors[0]}")


def join(context: Context, name: str, parent_id: str | None) -> None:
    """Help with the trials of a sweep that another process has started.

    name: that of its trials' study; parent_id: its run in MLflow.
    """
    params, layout = _resolve_precision(context.params), context.layout
    plan = plan_sweep(params, layout)
    if plan.name != name:
        raise LeukoError(
            f"parameters, images, code or precision are those of {plan.name}, not of {name}: start it again"
        )
    record = SweepRecord(params, layout.sweep)
    work(params, layout, plan, _open(params, plan), record, tracking.existing_run(parent_id))


def _resolve_precision(params: Params) -> Params:
    """The parameters with the precision of what the sweep trains resolved."""
    device, swept = choose_device(params.runtime.device), params.swept_arm
    if params.sweep.target == "classify":
        return params.with_classifier(swept, resolve_precision(params.classify[swept].classifier, device))
    trained = {**params.train_sr, swept: resolve_precision(params.train_sr[swept], device)}
    return params.model_copy(update={"train_sr": trained})


def _open(params: Params, plan: Plan) -> TrialStore:
    return TrialStore(
        storage_url(params.runtime.optuna_storage),
        plan.name,
        plan.count,
        heartbeat_seconds=params.runtime.heartbeat_seconds,
        metric=params.sweep.objective,
        seed=stream_seed(params.study.seed, "order", "search"),
    )
