"""What a sweep is going to train: its cells, and a name that changes with everything that they depend on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leukosr.config import Params, TrainSR
from leukosr.data.manifest import for_classifiers, read_manifest
from leukosr.data.sr_folds import seen_from
from leukosr.engine.resume import work_digest
from leukosr.engine.seeding import Stream
from leukosr.evaluate.runs.designs import Cell, factorial, independent_runs, streams_design
from leukosr.layout import Layout, image_file, require, require_all, stage_again
from leukosr.pretrained.named import find_weights
from leukosr.stages.training_inputs import inputs_of, with_weights_of
from leukosr.tracking.sweep_record import SweepRecord


@dataclass(frozen=True)
class Plan:
    """What the sweep of a study is: its name in the storage, its cells (empty for a search) and how many there are."""

    name: str
    cells: list[Cell]
    count: int

    @property
    def fixed(self) -> list[dict[str, Any]]:
        """The parameters of every cell; those of a search are drawn when its trial begins."""
        return [values(cell) for cell in self.cells] or [{} for _ in range(self.count)]

    @property
    def choices(self) -> dict[str, list[Any]]:
        """The values that each parameter of a design takes."""
        columns: dict[str, set[Any]] = {}
        for name, value in (pair for cell in self.cells for pair in values(cell).items()):
            columns.setdefault(name, set()).add(value)
        return {name: sorted(taken) for name, taken in columns.items()}


def values(cell: Cell) -> dict[str, float | int]:
    """The learning rate of a cell, and the seed of each of its streams."""
    return {"learning_rate": cell.learning_rate, **{str(stream): seed for stream, seed in cell.seeds.items()}}


def plan_sweep(params: Params, layout: Layout) -> Plan:
    """Name the sweep, and list its cells."""
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
    image, scored, degrade = (part.model_dump() for part in (params.image, params.quality, params.degrade))
    trained = SweepRecord(params, layout.sweep).settings
    asked = sweep.model_dump(exclude={"epochs"})  # which stand in `trained`
    settings = [asked, params.swept_protocol, image, params.study.seed, scored, degrade, trained]
    digest = work_digest(settings, inputs_of_sweep(params, layout))
    return Plan(f"{params.study.name}-{params.swept_arm}-{sweep.design}-{digest[:12]}", cells, count)


def inputs_of_sweep(params: Params, layout: Layout) -> list[Path]:
    """Every file that the trials depend on."""
    rows, inputs = read_manifest(layout.manifest), [layout.manifest, layout.roles]
    if params.sweep.target == "classify":
        used = [row for row in rows if for_classifiers(row.role(params.swept_protocol))]
        for arm, folder in arm_folders(params, layout).items():
            inputs += require_all([image_file(folder, row.id) for row in used], stage_again(params.stage_of(arm)))
        weights = params.swept_recipe.weight_file
        return inputs if weights is None else [*inputs, find_weights(weights)]
    rows = seen_from(params.trained_networks[0], rows, params.study)
    return [*inputs, *inputs_of(rows, params, params.swept_arm, layout, swept_training(params))]


def swept_training(params: Params) -> TrainSR:
    """The swept training, which reads the weights of another one's first SR seed or fold, if it reads any."""
    return with_weights_of(params.train_sr[params.swept_arm], params.trained_networks[0])


def arm_folders(params: Params, layout: Layout) -> dict[str, Path]:
    """Where the images of the swept experiment's arms lie; of several SR seeds the first one's."""
    arms = params.classify[params.swept_arm].arms
    network = params.networks_of(*arms)[0]
    return {arm: require(layout.arm(params.version(arm, network)), params.stage_of(arm)) for arm in arms}
