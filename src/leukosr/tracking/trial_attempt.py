"""A running trial of a sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import Trial

from leukosr.engine.seeding import stream_seed


@dataclass(frozen=True)
class Space:
    """What a search draws: learning rate and weight decay in log scale, augmentation from 0 to its bound."""

    learning_rate: tuple[float, float]
    weight_decay: tuple[float, float]
    augmentation: float


class Attempt:
    """One trial under way: its parameters and where it reports its results. `gave_up`: others did better."""

    def __init__(self, trial: Trial, seed: int) -> None:
        self._trial, self._seed = trial, seed
        self.number = trial.number
        self.cell = int(trial.user_attrs["cell"])
        self.gave_up = False

    def given(self, choices: Mapping[str, Sequence[Any]], values: Mapping[str, Any]) -> None:
        """Tell Optuna the cell's own values, of parameters with known choices, for its plots and importances."""
        for name, options in choices.items():
            self._trial.suggest_categorical(name, list(options))
        self._trial.set_user_attr("given", dict(values))

    def drawn(self, space: Space) -> dict[str, float]:
        """Parameters that the sampler draws for a search: its first ones at random, by the trial's number alone."""
        seed = stream_seed(self._seed, "order", "search", self.number) % 2**32  # whichever process runs the trial
        self._trial.study.sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
        found = {"learning_rate": self._trial.suggest_float("learning_rate", *space.learning_rate, log=True)}
        if space.weight_decay[1] > 0:
            found["weight_decay"] = self._trial.suggest_float("weight_decay", *space.weight_decay, log=True)
        if space.augmentation > 0:
            found["augmentation"] = self._trial.suggest_float("augmentation", 0, space.augmentation)
        return found

    def hopeless(self, value: float, step: int) -> bool:
        """Report a value on the way; whether to give up, as others did better at this step."""
        self._trial.report(value, step)
        self.gave_up = self._trial.should_prune()
        return self.gave_up

    def note(self, **values: Any) -> None:
        """Keep facts with the trial."""
        for name, value in values.items():
            self._trial.set_user_attr(name, value)
