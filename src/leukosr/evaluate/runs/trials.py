"""Tables of trials: one run per row, with its learning rate, the seeds of its randomness streams and its metrics."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from leukosr.engine.seeding import STREAMS
from leukosr.errors import LeukoError
from leukosr.evaluate.arms.two_way import METRICS
from leukosr.quoting import counted, short
from leukosr.tables import integral, read_table

MOST_TRIALS = 5000  # every pair of runs is compared
LARGEST = 1e15  # of a metric: its squares are summed
NO_METRICS = {"trial", "learning_rate", "state", "varied", *STREAMS}
EVERYTHING = "all"  # in the column `varied`: runs in which every stream differs


@dataclass(frozen=True)
class Trials:
    """Finished trials of one configuration.

    table: columns `trial`, `learning_rate` (float), those of `streams` (text) and `value` (float, the metric).
    streams: the streams that have a column. runs: True for trials that differ as whole runs do (all of them, or those
    whose column `varied` says `all`). failed: how many rows were left out, as they did not finish or have no value.
    """

    table: pd.DataFrame
    streams: tuple[str, ...]
    runs: np.ndarray
    metric: str
    failed: int

    @property
    def point(self) -> float:
        """One point in the metric's own unit: 0.01 of a fraction, else 1 (percent, dB)."""
        return 0.01 if float(self.table["value"].abs().max()) <= 1 else 1.0

    @property
    def unit(self) -> str:
        """What one point is called."""
        return "dB" if self.metric == "psnr" else "points"


def read_trials(path: Path, metric: str) -> Trials:
    """Read a table of trials. Raises LeukoError that names the file and what is wrong with it.

    Columns: `trial`, `learning_rate`, any of `STREAMS` holding their seeds, one column per metric; optionally `state`
    (only COMPLETE counts) and `varied` (which stream a designed trial varies, or `all`).
    """
    if metric in NO_METRICS:
        raise LeukoError(f"--metric is {metric}, which says what a trial was, not how well it did: name e.g. accuracy")
    raw = read_table(path, ("trial", "learning_rate", metric), "a table of trials")
    if len(raw) > MOST_TRIALS:
        raise LeukoError(f"{path} holds {len(raw):,} trials; more than {MOST_TRIALS:,} are not taken apart")
    if (empty := raw["trial"] == "").any():
        raise LeukoError(f"{path} has an empty cell in the column trial, line {empty.idxmax()}: every trial needs it")
    if raw["trial"].duplicated().any():
        twice = short(raw["trial"][raw["trial"].duplicated()].iloc[0])
        raise LeukoError(f"{path} has trial {twice} twice: keep one row per trial")
    raw["value"] = _numbers(path, raw, metric)
    raw["learning_rate"] = _numbers(path, raw, "learning_rate")
    _one_unit(path, raw["value"], metric)
    done = raw["value"].notna()
    if "state" in raw:
        done &= raw["state"].str.upper().isin(("COMPLETE", "COMPLETED", "FINISHED", ""))
    table = raw[done].reset_index(drop=True)
    streams = tuple(stream for stream in STREAMS if stream in raw)
    for stream in streams:
        table[stream] = table[stream].map(integral)
    for column in ("learning_rate", *streams):
        empty = table[column].isna() | (table[column] == "")
        if empty.any():
            trial = table["trial"][empty].iloc[0]
            raise LeukoError(f"{path} has an empty cell in the column {column}, trial {trial}: every trial needs it")
    if len(table) < 2:
        holds = f"{path} holds {counted(len(table), 'finished trial')}"
        raise LeukoError(f"{holds} with a value of {metric}: at least 2 are needed")
    runs = np.ones(len(table), bool)
    if "varied" in table and (table["varied"] == EVERYTHING).any():
        runs = (table["varied"] == EVERYTHING).to_numpy()
    return Trials(table[["trial", "learning_rate", *streams, "value"]], streams, runs, metric, int((~done).sum()))


def _one_unit(path: Path, values: pd.Series, metric: str) -> None:
    """Refuse scores of which some are fractions and some percent; other metrics may well lie on both sides of 1."""
    fractions = values[(values > 0) & (values <= 1)]
    if metric in METRICS and values.max() > 1 and len(fractions):
        raise LeukoError(
            f"{path} has both {fractions.iloc[0]:g} and {values.max():g} in the column {metric}: give all as fractions "
            "or all in percent"
        )


def _numbers(path: Path, raw: pd.DataFrame, column: str) -> pd.Series:
    """A column as float; empty, nan and infinite cells are NaN."""
    numbers = pd.to_numeric(raw[column].where(raw[column] != ""), errors="coerce").astype(float)
    odd = numbers.isna() & ~raw[column].str.lower().isin(("", "nan", "none", "null", "inf", "-inf"))
    odd |= np.isfinite(numbers) & (numbers.abs() > LARGEST)
    if odd.any():
        cell = short(raw[column][odd].iloc[0])
        raise LeukoError(
            f"{path} has '{cell}' in the column {column}, line {odd.idxmax()}, which is not a number"
            + (": write a decimal point" if "," in cell else "")
        )
    return numbers.where(np.isfinite(numbers))
