"""The trials of a sweep, kept by Optuna in a database or journal that any number of processes may share.

Every cell of a sweep has a number. It is queued once and is done when one trial of it is complete or diverged, as
another attempt would. A trial whose process died is given up (by heartbeat in a database, at the next start in a
journal) and its cell is queued again.
"""

from __future__ import annotations

import hashlib
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import optuna
from optuna.artifacts import FileSystemArtifactStore, upload_artifact
from optuna.exceptions import ExperimentalWarning, OptunaError, TrialPruned, UpdateFinishedTrialError
from optuna.storages import fail_stale_trials
from optuna.trial import FrozenTrial, Trial, TrialState

from leukosr.engine.this_process import this_host, this_process
from leukosr.errors import Diverged
from leukosr.evaluate.runs.designs import Finished
from leukosr.quoting import counted
from leukosr.tracking.trial_attempt import Attempt
from leukosr.tracking.trial_state import counts, finished_of, is_dead, is_done
from leukosr.tracking.trial_storage import open_storage

ARTIFACTS = Path("optuna_artifacts")
POLL_SECONDS = 1.0
PATIENCE_SECONDS = 60.0

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.filterwarnings("ignore", category=ExperimentalWarning)


class TrialStore:
    """The trials of one sweep; processes that open it by the same name share the work."""

    def __init__(self, url: str, name: str, cells: int, *, metric: str, heartbeat_seconds: int, seed: int) -> None:
        """`metric` names the value of a trial; more is better. `seed` is that of the sampler of a search."""
        self.name, self.cells = name, cells
        self.storage = open_storage(url, heartbeat_seconds)
        self.metric, self.seed = metric, seed
        pruner = optuna.pruners.MedianPruner(n_startup_trials=4)
        self.study = optuna.create_study(
            storage=self.storage,
            study_name=name,
            pruner=pruner,
            direction="maximize",
            load_if_exists=True,
        )
        self.study.set_metric_names([metric])

    def attribute(self, name: str) -> Any:
        """A fact kept with the study, or None."""
        return self.study.user_attrs.get(name)

    def keep(self, name: str, value: Any) -> None:
        """Keep a fact with the study."""
        self.study.set_user_attr(name, value)

    def describe(self, facts: Mapping[str, str], note: str) -> None:
        """Keep facts with the study, and the note that Optuna's dashboard shows above it, where that is installed."""
        for name, value in facts.items():
            self.keep(name, value)
        if find_spec("optuna_dashboard") is not None:
            from optuna_dashboard import get_note, save_note

            if get_note(self.study) != note:  # each save is a version of its own
                save_note(self.study, note)

    def start(self, fixed: Sequence[Mapping[str, Any]], *, take_over: bool = False) -> None:
        """Queue every cell that has no trial; `fixed` holds the parameters of each, which may be empty.

        Trials of dead processes on this machine are given up first; with `take_over` those of other machines, too.
        """
        self._give_up_dead()
        if take_over:
            for trial in self._elsewhere():
                self._give_up(trial)
        self._queue(fixed)

    def _elsewhere(self) -> list[FrozenTrial]:
        """Trials that processes of other machines, or containers, have under way."""
        running = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return [each for each in running if each.user_attrs.get("process", [this_host()])[0] != this_host()]

    def _give_up_dead(self) -> None:
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if is_dead(trial):
                self._give_up(trial)

    def _give_up(self, trial: FrozenTrial) -> None:
        with suppress(ValueError, OptunaError):  # another process was faster
            self.study.tell(trial.number, state=TrialState.FAIL)

    def _queue(self, fixed: Sequence[Mapping[str, Any]]) -> bool:
        """Queue the cells without a live or finished trial; whether there were any."""
        taken = {t.user_attrs.get("cell") for t in self.study.get_trials(deepcopy=False) if counts(t)}
        missing = [number for number in range(self.cells) if number not in taken]
        for number in missing:
            self.study.enqueue_trial(dict(fixed[number]), user_attrs={"cell": number})
        return bool(missing)

    def work(
        self,
        measure: Callable[[Attempt], Mapping[str, float]],
        fixed: Sequence[Mapping[str, Any]],
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Take cells from the queue until all are done, here or in other processes.

        `measure` returns the metrics of its cell. A training that diverged ends its trial as failed, and is kept; any
        other error is passed on. `say` is told once about trials on other machines that this process waits for.
        """
        idle = 0.0
        while len(self.finished()) < self.cells:
            fail_stale_trials(self.study)
            if self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
                self._next(measure)
                idle = 0.0
                continue
            self._give_up_dead()
            if not self._queue(fixed):
                time.sleep(POLL_SECONDS)
                if idle < PATIENCE_SECONDS <= idle + POLL_SECONDS and (elsewhere := self._elsewhere()):
                    hosts = ", ".join(sorted({str(each.user_attrs["process"][0]).split()[0] for each in elsewhere}))
                    say(
                        f"waiting for {counted(len(elsewhere), 'trial')} that processes on {hosts} have under way. If "
                        "those are gone, stop this and start it with `leukosr sweep --take-over`"
                    )
                idle += POLL_SECONDS

    def _next(self, measure: Callable[[Attempt], Mapping[str, float]]) -> None:
        begun: list[int] = []

        def one(trial: Trial) -> float:
            begun.append(trial.number)
            return self._one(trial, measure)

        try:
            self.study.optimize(one, n_trials=1, catch=(Diverged,))
        except (UpdateFinishedTrialError, ValueError):
            if not begun or not self._was_given_up(begun[0]):
                raise

    def _was_given_up(self, number: int) -> bool:
        """Whether others gave this trial up, as this process was silent for too long."""
        trial = self.study.trials[number]
        return trial.state == TrialState.FAIL and "broken" not in trial.user_attrs

    def _one(self, trial: Trial, measure: Callable[[Attempt], Mapping[str, float]]) -> float:
        if "cell" not in trial.user_attrs:  # others emptied the queue meanwhile
            raise TrialPruned
        trial.set_user_attr("process", this_process())
        attempt, started = Attempt(trial, self.seed), time.perf_counter()
        if self._taken(attempt):
            raise TrialPruned
        try:
            metrics = dict(measure(attempt))
        except Diverged as error:
            attempt.note(error=str(error))
            raise
        except Exception:
            attempt.note(broken=True)
            raise
        attempt.note(metrics=metrics, seconds=time.perf_counter() - started)
        if attempt.gave_up:
            attempt.note(gave_up=True)
            raise TrialPruned
        return metrics[self.metric]

    def _taken(self, attempt: Attempt) -> bool:
        """Whether another trial has this cell: one that is done, or the first of those in the queue and under way.

        Processes that start together may each queue a cell. The first of its trials was there before the others, so
        every process sees it and all agree.
        """
        others = [t for t in self.study.get_trials(deepcopy=False) if t.user_attrs.get("cell") == attempt.cell]
        return any(is_done(other) or (counts(other) and other.number < attempt.number) for other in others)

    def finished(self) -> list[Finished]:
        """The results of finished cells, in the order of cells."""
        found: dict[int, Finished] = {}
        for trial in self.study.get_trials(deepcopy=False):
            if is_done(trial):
                found.setdefault(trial.user_attrs["cell"], finished_of(trial))
        return [found[cell] for cell in sorted(found)]

    def abandoned_runs(self) -> list[str]:
        """The MLflow runs of trials whose process died before it ended them."""
        failed = self.study.get_trials(deepcopy=False, states=(TrialState.FAIL,))
        lost = [each.user_attrs for each in failed if not {"error", "broken"} & each.user_attrs.keys()]
        return [facts["mlflow_run_id"] for facts in lost if facts.get("mlflow_run_id")]

    def importances(self) -> dict[str, float]:
        """How much of the variance each parameter explains by Optuna's fANOVA; empty where that is not defined."""
        varied = [t for t in self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)) if t.params]
        if len(varied) < 4 or len({t.value for t in varied}) < 2:
            return {}
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        try:
            return dict(optuna.importance.get_param_importances(self.study, evaluator=evaluator))
        except (ValueError, RuntimeError):
            return {}

    def attach(self, files: Sequence[Path], folder: Path = ARTIFACTS) -> None:
        """Show figures in the dashboard: copies of them, as artifacts of the study. Figures that are there stay."""
        digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
        if self.attribute("figures") == digest:
            return
        folder.mkdir(parents=True, exist_ok=True)
        store = FileSystemArtifactStore(folder)
        for file in files:
            upload_artifact(artifact_store=store, file_path=str(file), study_or_trial=self.study, mimetype="image/png")
        self.keep("figures", digest)
