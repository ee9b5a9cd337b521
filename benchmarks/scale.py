"""`python -m benchmarks.scale`: how time and memory of the data stages grow with the number of images.

Every stage runs in a process of its own. What is finished is kept, so a measurement that was cut goes on.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import psutil
import typer
import yaml

from benchmarks.machine import machine_facts
from benchmarks.measure import MIB, in_child, peak_memory, private_memory
from benchmarks.scale_page import Piece, cost, write_page
from benchmarks.scale_set import SIDE, draw_set
from leukosr.config import Params, load_params
from leukosr.engine.parallel import usable_cores
from leukosr.errors import LeukoError
from leukosr.files import write_json
from leukosr.layout import Layout
from leukosr.versions import git_commit

HERE = Path(__file__).resolve().parent
RESULTS, PAGE = HERE / "scale.json", HERE.parent / "docs" / "scale.md"
COUNTS = (1000, 3000, 10_000, 30_000)  # and as many as are asked for
ARMS = ("raw", "bicubic")
SEARCH = "provenance"
STAGES = (
    "prepare",
    "degrade",
    *(f"{stage} {arm}" for arm in ARMS for stage in ("upscale", "quality")),
    "report",
    SEARCH,
)
app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@app.command()
def main(
    images: Annotated[int, typer.Option(min=100, help="The largest set.")] = 100_000,
    folder: Annotated[Path, typer.Option(help="Sets and finished pieces.")] = Path(".leukosr/scale"),
    cpu_time: Annotated[
        bool, typer.Option("--cpu-time", help="Count processor time: for one core (taskset) that has other work, too.")
    ] = False,
) -> None:
    """Measure sets of 1,000, 3,000, 10,000, 30,000 … images; write benchmarks/scale.json and docs/scale.md.

    Both are written after each piece, a stage on a set, and hold all pieces in the folder, also those of larger sets
    that an earlier run measured. A finished piece is not measured again; remove the folder to begin anew.
    """
    folder = folder.resolve()
    counts = [*(count for count in COUNTS if count < images), images]
    try:
        if cpu_time and usable_cores() > 1:
            raise LeukoError("--cpu-time adds up the time of all cores: name one, as in `taskset -c 0 python -m …`")
        machine = machine_of(finished(folder))
        for done, piece in enumerate(measure_all(folder, counts, cpu_time), 1):
            pieces = finished(folder)
            write_json(RESULTS, {"machine": machine, "pieces": [asdict(each) for each in pieces]})
            write_page(machine, pieces, PAGE)
            part = f"{done} of {len(counts) * len(STAGES)} pieces"
            print(f"scale: {piece.stage} of {piece.images:,} images: {cost(piece)} ({part})", flush=True)
    except LeukoError as error:
        sys.exit(f"error: {error}")
    print(f"scale: up to {images:,} images -> {RESULTS}, {PAGE}")


def machine_of(pieces: list[Piece]) -> dict[str, Any]:
    """What every piece has in common; the number of cores stands with each.

    Raises LeukoError where there are `pieces` already and the results are of another machine.
    """
    facts = {**in_child(machine_facts), "memory_gib": round(psutil.virtual_memory().total / 2**30)}
    machine = {key: value for key, value in facts.items() if key != "cores"}
    if pieces and RESULTS.is_file():
        known = json.loads(RESULTS.read_text(encoding="utf-8"))["machine"]
        if different := [key for key in machine if known.get(key) != machine[key]]:
            raise LeukoError(f"{RESULTS} has another {', '.join(different)}: name a new --folder and begin anew")
    return machine


def finished(folder: Path) -> list[Piece]:
    """All pieces that were measured in `folder`, smallest sets first."""
    files = folder.glob("*/pieces/*.json")
    found = [Piece(**json.loads(file.read_text(encoding="utf-8"))) for file in files]
    return sorted(found, key=lambda piece: (piece.images, STAGES.index(piece.stage)))


def measure_all(folder: Path, counts: list[int], cpu_time: bool) -> Iterator[Piece]:
    """All stages on sets of so many images, smallest first; then the search for sources, which takes far longer.

    What stages made is removed once a set is finished, and the images with it after their search.
    """
    quick = [stage for stage in STAGES if stage != SEARCH]
    for stages, left in ((quick, ("pieces", "set")), ([SEARCH], ("pieces",))):
        for count in counts:
            home = folder / str(count)
            for stage in stages:
                kept = home / "pieces" / f"{stage}.json"
                if not kept.is_file():
                    write_json(kept, asdict(measure(stage, count, home, cpu_time)))
                yield Piece(**json.loads(kept.read_text(encoding="utf-8")))
            for made in home.iterdir():
                if made.is_dir() and made.name not in left:
                    shutil.rmtree(made)


def measure(stage: str, count: int, home: Path, cpu_time: bool) -> Piece:
    """Run one stage on a set of `count` images in `home`, which earlier stages have worked on."""
    if not (home / "set").is_dir():
        draw_set(home / "set", count)
    params = params_for(home / "set").model_dump(mode="json")
    (home / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    shutil.rmtree(home / "state", ignore_errors=True)  # a search that goes on would show a part of its time
    seconds, peak = peak_memory(run_stage, stage, home, cpu_time, counted=private_memory)
    cores, clock = usable_cores(), ", processor time" if cpu_time else ""
    when = f"{date.today():%Y-%m-%d}, commit {git_commit()[:9]}, {cores} core{'s' if cores > 1 else ''}{clock}"
    return Piece(stage, count, seconds, peak / MIB, note(stage, home), when)


def params_for(root: Path) -> Params:
    """A study of image quality of two arms without networks; all images but one in a hundred are compared."""
    from benchmarks.images import compose_params  # it loads torch, which no stage here needs

    params = compose_params(
        "study=demo_sr", f"arms=[{','.join(ARMS)}]", f"image.height={SIDE}", f"image.width={SIDE}",
        "prepare.train=null", "prepare.test=null", "prepare.sr_fraction=0.01",
        "budget.per_class.sr_train=null", "budget.per_class.classifier=null",
    )  # fmt: skip
    return params.model_copy(update={"prepare": params.prepare.model_copy(update={"root": str(root)})})


def run_stage(stage: str, home: Path, cpu_time: bool) -> float:
    """Run a stage as its command does; seconds without starting Python and reading params.yaml."""
    from rich.console import Console

    from leukosr.stages.context import Context
    from leukosr.stages.provenance import Search

    name, *arm = stage.split()
    module = importlib.import_module(f"leukosr.stages.{name}")
    params, console = load_params(home / "params.yaml"), Console(quiet=True)
    clock = processor_time if cpu_time else time.perf_counter
    started = clock()
    if name == SEARCH:
        module.run_folder(home / "set", home / "provenance", console, Search(state=home / "state"))
    else:
        layout = Layout(params.study.name, home / "outputs", home / "reports")
        module.run(Context(params, layout, console), *arm)
    return clock() - started


def processor_time() -> float:
    """Seconds that this process and those workers of it that have ended have computed."""
    return sum(os.times()[:4])


def note(stage: str, home: Path) -> str:
    """What a stage made that a reader asks about: the size of a page, how good the search was."""
    if stage == "report":
        (page,) = (home / "reports").glob("*/index.html")
        return f"a page of {page.stat().st_size / MIB:.1f} MiB"
    if stage == SEARCH:
        precision, recall = pairs_found(home)
        page = home / "provenance" / "index.html"
        return (
            f"{100 * recall:.1f} % of the pairs of views found, {100 * precision:.2f} % of the found pairs right; "
            f"a page of {page.stat().st_size / MIB:.1f} MiB"
        )
    return ""


def pairs_found(home: Path) -> tuple[float, float]:
    """Precision and recall over pairs of images of one source."""
    true = pd.read_csv(home / "set" / "sources.csv", dtype=str)
    found = pd.read_csv(home / "provenance" / "sources.csv", dtype=str)
    both = true.merge(found, left_on="path", right_on="image", suffixes=("_true", "_found"), validate="one_to_one")

    def pairs(*columns: str) -> int:
        sizes = both.groupby(list(columns)).size()
        return int((sizes * (sizes - 1) // 2).sum())

    right = pairs("source_true", "source_found")
    return right / max(pairs("source_found"), 1), right / max(pairs("source_true"), 1)


if __name__ == "__main__":
    app()
