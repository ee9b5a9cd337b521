"""What MLflow holds of a sweep: its own run, with one child per trial."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leukosr.config import STREAMS_OF, Params
from leukosr.errors import Diverged
from leukosr.report.sweep import record_of, summary_of
from leukosr.tracking.records import RESULTS, of_study, results_digest, rows_of
from leukosr.tracking.runs import Run, run

# columns of trials.csv that are neither parameters nor metrics
FACTS = {"trial", "state", "seconds", "ran_on", "optuna_trial", "mlflow_run", "error"}


@dataclass(frozen=True)
class SweepRecord:
    """The sweep of a study, which wrote to `folder`."""

    params: Params
    folder: Path
    stage = "sweep"

    @property
    def name(self) -> str:
        """Of the run."""
        return f"sweep {self.params.swept_arm}"

    @property
    def folders(self) -> list[Path]:
        """What the stage writes."""
        return [self.folder]

    @property
    def tags(self) -> dict[str, str]:
        """Of the run."""
        return {"study": self.params.study.name, "stage": "sweep", "arm": self.params.swept_arm,
                "protocol": self.params.swept_protocol, "budget": self.params.budget.name}  # fmt: skip

    @property
    def settings(self) -> dict[str, dict[str, Any]]:
        """What trains, under the name of its section, without what the sweep says itself."""
        if self.params.sweep.target == "classify":
            experiment = self.params.classify[self.params.swept_arm]
            recipe = self.params.swept_recipe.model_dump(exclude={"learning_rate"})
            seen = experiment.model_dump(include={"train", "test", "repeat", "limit"})
            return {"classify": {**seen, **recipe}}
        return {"train_sr": self.params.train_sr[self.params.swept_arm].model_dump()}

    @property
    def precision(self) -> str:
        """What the trainings compute in."""
        (section,) = self.settings.values()
        return str(section["precision"])

    @property
    def facts(self) -> dict[str, str]:
        """What is swept, in which study and precision."""
        return {**of_study(self.params), "arm": self.params.swept_arm, "precision": self.precision}

    def begin(self, tracked: Run, optuna_study: str) -> None:
        """Log the parameters."""
        tracked.parameters(
            {
                **self.facts,
                "optuna_study": optuna_study,
                **self.params.sweep.model_dump(exclude={"arm", "epochs"}),
                **self.settings,
            }
        )

    def of_trial(self, cell: int, trial: int, parent: Run) -> AbstractContextManager[Run]:
        """The run of one trial; `trial` is its number in Optuna."""
        tags = {"study": self.params.study.name, "stage": "sweep", "arm": self.params.swept_arm, "trial": str(trial)}
        return run(f"{self.name} trial {cell}", experiment=self.params.study.name, tags=tags, parent=parent)

    def finish(self, tracked: Run, *, complete: bool) -> None:
        """Log what the stage has written; `complete`: every trial has its run."""
        tracked.metrics(summary_of(self.folder, self.params.sweep.objective))
        tracked.file(self.folder)
        if complete:
            tracked.tag(RESULTS, results_digest(self.folders))

    def replay(self, tracked: Run) -> None:
        """Log everything from the files; trials whose run the store has are left as they are."""
        self.begin(tracked, record_of(self.folder)["optuna_study"])
        for row in rows_of(self.folder / "trials.csv"):
            if not tracked.holds(row.get("mlflow_run")):
                self._trial(tracked, row)
        self.finish(tracked, complete=True)

    def _trial(self, tracked: Run, row: Mapping[str, Any]) -> None:
        drawn = {"learning_rate", "weight_decay", "augmentation", "varied", *STREAMS_OF[self.params.sweep.target]}
        with suppress(Diverged), self.of_trial(row["trial"], row["optuna_trial"], tracked) as child:
            child.parameters(self.facts | {name: row[name] for name in drawn if name in row})
            child.metrics({name: value for name, value in row.items() if name not in drawn | FACTS})
            if "error" in row:
                raise Diverged(row["error"])
