"""The results of a sweep: its table, what that says, and figures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from leukosr.config import STREAMS_OF, Params
from leukosr.errors import LeukoError
from leukosr.evaluate.runs.designs import Finished
from leukosr.evaluate.runs.trials import read_trials
from leukosr.evaluate.runs.variance import analyse, as_record
from leukosr.files import write_json
from leukosr.report.style import budget_note, training_words
from leukosr.report.variance_figures import importance_words, search_figure, sentences, variance_figures
from leukosr.tables import write_frame


def write_sweep(params: Params, finished: Sequence[Finished], facts: Mapping[str, Any], folder: Path) -> None:
    """Write trials.csv and what it says: variance.json with three figures, or search.json with one.

    facts: further entries of the record. Raises LeukoError where too few trials succeeded.
    """
    table = _table(params, finished)
    path = folder / "trials.csv"
    write_frame(path, table)
    how = "validation images"
    if params.sweep.target == "classify":
        words = training_words(params.swept_recipe)
        how = f"{params.swept_protocol}, {', '.join(words)}"
    note = f"{budget_note(params.budget)}; {params.swept_arm}, {how}"
    if params.sweep.design == "search":
        _write_search(params, table, facts, folder, note)
        return
    trials = read_trials(path, params.sweep.objective)
    found = analyse(trials)
    record = {
        "arm": params.swept_arm,
        "protocol": params.swept_protocol,
        "design": params.sweep.design,
        **facts,
        **as_record(found),
        "sentences": [*sentences(found, trials.point, trials.unit), *_mixed(table)],
    }
    write_json(folder / "variance.json", record)
    variance_figures(folder, trials, found, note)


def _mixed(table: pd.DataFrame) -> Iterator[str]:
    """A warning if trials ran on different hardware."""
    places = sorted({place for place in table["ran_on"] if place})
    if len(places) > 1:
        yield f"Trials ran on {'; '.join(places)}, which round differently: that is part of what runs differ by."


def _write_search(params: Params, table: pd.DataFrame, facts: Mapping[str, Any], folder: Path, note: str) -> None:
    objective = params.sweep.objective
    done = table[table["state"] == "COMPLETE"]
    if done.empty:
        raise LeukoError(f"no configuration of {len(table)} was trained to its end: widen sweep.space")
    best = done.iloc[int(done[objective].to_numpy(float).argmax())]
    drawn = [name for name in ("learning_rate", "weight_decay", "augmentation") if name in table]
    chosen = {name: float(best[name]) for name in drawn}
    words = ", ".join(f"{name} {value:.3g}" for name, value in chosen.items())
    record: dict[str, Any] = {
        "arm": params.swept_arm,
        "protocol": params.swept_protocol,
        "design": "search",
        "best": chosen,
        objective: float(best[objective]),
        f"{objective}_sd": float(best[f"{objective}_sd"]),
        "trials": len(table),
        "pruned": int((table["state"] == "PRUNED").sum()),
        **facts,
        "sentences": [
            f"Best of {len(table)} configurations on validation data, mean over {params.sweep.runs} seeds: {words} "
            f"({objective} {best[objective]:.3f})."
        ],
    }
    record["sentences"] += [*importance_words(facts["importances"]), *_mixed(table)]
    write_json(folder / "search.json", record)
    search_figure(folder / "search.png", table, drawn, objective, note)


def _table(params: Params, finished: Sequence[Finished]) -> pd.DataFrame:
    """One row per cell: its parameters, its metrics, how long it took, and where it is in Optuna and MLflow."""
    rows = []
    for each in finished:
        state = "FAIL" if each.error is not None else "PRUNED" if each.pruned else "COMPLETE"
        rows.append(
            {
                "trial": each.cell,
                **each.parameters,
                "state": state,
                **each.metrics,
                "seconds": round(each.seconds, 2),
                "ran_on": each.ran_on,
                "optuna_trial": each.trial,
                "mlflow_run": each.run_id or "",
                "error": each.error or "",
            }
        )
    table = pd.DataFrame(rows)
    first = ["trial", "learning_rate", "weight_decay", "augmentation", *STREAMS_OF[params.sweep.target], "varied"]
    known = [name for name in (*first, "state") if name in table]
    return table[known + [name for name in table if name not in known]]


def sweep_sentences(folder: Path) -> list[str]:
    """The sentences of a sweep's record; empty without one."""
    said: list[str] = record_of(folder).get("sentences", [])
    return said


def record_of(folder: Path) -> dict[str, Any]:
    """What variance.json or search.json holds; empty where there is none."""
    for name in ("variance.json", "search.json"):
        if (folder / name).is_file():
            record: dict[str, Any] = json.loads((folder / name).read_text(encoding="utf-8"))
            return record
    return {}


def summary_of(folder: Path, objective: str) -> dict[str, float | None]:
    """The numbers of a sweep's record that are worth a line in a table; None is undefined."""
    record = record_of(folder)
    if record["design"] == "search":
        return {"trials": record["trials"], objective: record[objective], **record["best"]}
    streams = {name: part["sd"] for name, part in record["components"].items() if name != "residual"}
    return {
        "trials": record["trials"],
        "highest_mean": max(spread["mean"]["value"] for spread in record["by_learning_rate"].values()),
        "range": record["range"],
        "run_sd": record["run_sd"],
        **{f"sd_{name.replace('+', '_')}": sd for name, sd in streams.items()},
    }
