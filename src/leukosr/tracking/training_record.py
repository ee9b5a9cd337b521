"""What MLflow holds of a training of SR."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leukosr.config import Params
from leukosr.layout import Layout
from leukosr.tracking.records import RESULTS, WEIGHTS, data_digest, of_study, read_metrics, results_digest, rows_of
from leukosr.tracking.runs import Run


@dataclass(frozen=True)
class TrainingRecord:
    """One SR training, or one SR seed or fold of it, which wrote to `folder`."""

    params: Params
    training: str
    layout: Layout
    folder: Path
    network: int | str | None = None  # of several, its SR seed or its fold

    @property
    def name(self) -> str:
        """Of the run."""
        which = f" {self.network}" if isinstance(self.network, str) else f" SR seed {self.network}"
        return f"train_sr {self.training}" + ("" if self.network is None else which)

    @property
    def stage(self) -> str:
        """As DVC calls it."""
        return f"train_sr@{self.training}"

    @property
    def folders(self) -> list[Path]:
        """What the stage writes; each holds metrics.json once it is done."""
        return [self.folder]

    @property
    def tags(self) -> dict[str, str]:
        """Of the run."""
        kind = "fold" if isinstance(self.network, str) else "sr_seed"
        own = {} if self.network is None else {kind: str(self.network)}
        return {
            "study": self.params.study.name,
            "stage": "train_sr",
            "arm": self.training,
            **own,
            "budget": self.params.budget.name,
            "data_digest": data_digest(self.layout)[:16],
        }

    def begin(self, tracked: Run) -> None:
        """Log the parameters and which data are used."""
        settings = self.params.train_sr[self.training]
        seed = self.network if isinstance(self.network, int) else self.params.sr_seed(self.training)
        values = {**settings.model_dump(), "seed": seed}
        tracked.parameters({**of_study(self.params), "arm": self.training, "training": self.training, **values})
        tracked.data(self.layout.manifest, data_digest(self.layout), self.params.study.name)

    def row(self, tracked: Run, row: Mapping[str, Any]) -> None:
        """Log a row of the history."""
        numbers = {key: value for key, value in row.items() if key not in ("iteration", "stage", "seconds")}
        tracked.metrics(numbers, step=row["iteration"])

    def finish(self, tracked: Run) -> None:
        """Log what the stage has written."""
        metrics = read_metrics(self.folder)
        tracked.metrics({key: value for key, value in metrics.items() if isinstance(value, int | float)})
        tracked.parameters({key: metrics[key] for key in WEIGHTS if key in metrics})
        tracked.file(self.folder)
        if self.params.runtime.log_models:
            which = "" if self.network is None else f"-{self.network}"
            tracked.model(self.folder / "last.safetensors", f"generator-{self.training}{which}")
        tracked.tag(RESULTS, results_digest(self.folders))

    def replay(self, tracked: Run) -> None:
        """Log everything from the files."""
        self.begin(tracked)
        for row in rows_of(self.folder / "history.csv"):
            self.row(tracked, row)
        self.finish(tracked)
