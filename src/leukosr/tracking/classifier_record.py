"""What MLflow holds of the classifiers of an experiment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

from leukosr.classify.confidence import Validation, champion
from leukosr.config import Params
from leukosr.engine.weights import read_header
from leukosr.evaluate.arms.pairs import Run as Trained
from leukosr.layout import Layout
from leukosr.tracking.records import RESULTS, WEIGHTS, data_digest, of_study, read_metrics, results_digest, rows_of
from leukosr.tracking.runs import Run, Watched, run


def log_epoch(tracked: Run, row: Mapping[str, Any]) -> None:
    """Log a row of a classifier's history; `fold` and `member`, if any, distinguish the trainings of one seed."""
    prefix = "".join(f"{row[name]}_" for name in ("fold", "member") if row.get(name))
    values = {f"{prefix}train_loss": row["loss"], f"{prefix}train_accuracy": row["accuracy"]}
    values |= {f"{prefix}{name}": row[name] for name in ("val_loss", "val_accuracy") if name in row}
    tracked.metrics(values, step=row["epoch"])


def _weights_of(folder: Path, trained: Trained) -> list[Path]:
    """The weights of one classifier below the folder of its protocol, or one file per fold."""
    own = f"seed-{trained.label}"
    files = sorted((folder / "weights").iterdir())
    return [file for file in files if file.stem == own or file.stem.startswith(f"{own}-")]


@dataclass(frozen=True)
class ClassifierRecord:
    """The classifiers of one experiment, one per seed, which wrote one folder per protocol."""

    params: Params
    experiment: str
    layout: Layout
    seeds: Sequence[int]
    by_protocol: Mapping[str, Path]
    networks: Sequence[int | None] = (None,)  # the SR seeds, where there are several

    @property
    def name(self) -> str:
        """Of the run."""
        return f"classify {self.experiment}"

    @property
    def stage(self) -> str:
        """As DVC calls it."""
        return f"classify@{self.experiment}"

    @property
    def folders(self) -> list[Path]:
        """What the stage writes; each holds metrics.json once it is done."""
        return list(self.by_protocol.values())

    @property
    def tags(self) -> dict[str, str]:
        """Of the run."""
        return {
            "study": self.params.study.name,
            "stage": "classify",
            **self._facts,
            "protocol": self.protocols,
            "budget": self.params.budget.name,
            "data_digest": data_digest(self.layout)[:16],
        }

    @property
    def _facts(self) -> dict[str, str]:
        """The experiment and, where it has but one, its arm."""
        arms = self.params.classify[self.experiment].arms
        return {"experiment": self.experiment, **({"arm": arms[0]} if len(arms) == 1 else {})}

    @property
    def watched(self) -> Watched:
        """The stage's own run has system metrics where it is that of the only classifier."""
        return "all" if self.alone and len(self.runs) == 1 else "below"

    @property
    def _settings(self) -> dict[str, Any]:
        """Which arms train and test, and the recipe."""
        experiment = self.params.classify[self.experiment]
        return {"train": experiment.train, "test": experiment.test, **experiment.classifier.model_dump()}

    @property
    def runs(self) -> tuple[Trained, ...]:
        """The classifiers: every seed within every SR seed."""
        return tuple(Trained(seed, network) for network, seed in product(self.networks, self.seeds))

    @property
    def protocols(self) -> str:
        """Those that the classifiers run under, as one text."""
        return ", ".join(self.by_protocol)

    @property
    def alone(self) -> bool:
        """Whether there is one protocol."""
        return len(self.by_protocol) == 1

    def begin(self, tracked: Run) -> None:
        """Log the parameters and which data are used."""
        facts = {**of_study(self.params), **self._facts, "protocol": self.protocols, "n_seeds": len(self.seeds)}
        facts |= {} if self.networks == (None,) else {"n_sr_seeds": len(self.networks)}
        tracked.parameters({**facts, **self._settings})
        tracked.data(self.layout.manifest, data_digest(self.layout), self.params.study.name)

    @contextmanager
    def of_run(self, tracked: Run, protocol: str, trained: Trained) -> Iterator[Run]:
        """The run of one classifier: the stage's own if there is only one, else a child of it."""
        seeds = {key: value for key, value in asdict(trained).items() if value is not None}
        if self.watched == "all":
            tracked.parameters(seeds)
            yield tracked
            return
        name = f"{self.name}{'' if self.alone else f' {protocol}'} seed {trained.label}"
        tags = {**self.tags, **{key: str(value) for key, value in seeds.items()}, "protocol": protocol}
        with run(name, experiment=self.params.study.name, tags=tags, parent=tracked) as child:
            child.parameters({**of_study(self.params), **self._facts, "protocol": protocol, **seeds, **self._settings})
            yield child

    def finish_run(self, tracked: Run, trained: Trained, scores: Mapping[str, float], folder: Path) -> None:
        """Log the scores of a classifier and, where asked for, its weights in `folder` as models."""
        tracked.metrics(dict(scores))
        if self.params.runtime.log_models:
            for weights in _weights_of(folder, trained):
                tracked.model(weights, f"classifier-{self.experiment}-{weights.stem}")

    def finish_protocol(self, tracked: Run, protocol: str) -> None:
        """Log what the stage has written for one protocol."""
        folder, prefix = self.by_protocol[protocol], "" if self.alone else f"{protocol}_"
        metrics = read_metrics(folder)
        tracked.parameters({key: metrics[key] for key in WEIGHTS if key in metrics})
        if self.params.runtime.log_models and set(self.seeds) == set(self.params.seeds_of(self.experiment)):
            self._register(tracked, protocol)  # a run of one seed beside the study has no champion
        tracked.metrics({prefix + key: value for key, value in metrics.items() if not isinstance(value, dict | str)})
        for path in sorted(folder.iterdir()):
            if path.name != "weights" or not self.params.runtime.log_models:  # else they are in the logged models
                below = [] if self.alone else [protocol]
                tracked.file(path, "/".join([*below, *([path.name] if path.is_dir() else [])]) or None)

    def _register(self, tracked: Run, protocol: str) -> None:
        """Register the classifier to serve, chosen by validation images alone."""
        files = [file for each in self.runs for file in _weights_of(self.by_protocol[protocol], each)]
        validations = [Validation.read(read_header(file), file) for file in files]
        place = champion(validations)
        chosen = validations[place]
        why = "the first seed: the protocol has no validation part"
        if chosen is not None:
            why = f"the best of {len(files)} by validation macro F1, {100 * chosen.macro_f1:.1f} %"
        name = "-".join([self.params.study.name, self.experiment, *([] if self.alone else [protocol])])
        tracked.register(files[place].name, name, f"{files[place].stem}: {why}. No test score had a part in it.")

    def finish(self, tracked: Run) -> None:
        """Say that all is logged."""
        tracked.tag(RESULTS, results_digest(self.folders))

    def replay(self, tracked: Run) -> None:
        """Log everything from the files."""
        self.begin(tracked)
        for protocol, folder in self.by_protocol.items():
            history, scores = rows_of(folder / "history.csv"), read_metrics(folder)["per_seed"]
            for trained in self.runs:
                with self.of_run(tracked, protocol, trained) as child:
                    for row in history:
                        if (row["seed"], row.get("sr_seed")) == (trained.seed, trained.sr_seed):
                            log_epoch(child, row)
                    self.finish_run(child, trained, scores[trained.label], folder)
            self.finish_protocol(tracked, protocol)
        self.finish(tracked)
