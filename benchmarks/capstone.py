"""The case studies' degradation of a folder of JPEGs into a folder of PNGs, from disk to disk."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

from benchmarks.images import SIZE, image_set, published_params
from benchmarks.measure import Comparison, Options, Row, compare, seconds_of
from leukosr.config import Params
from leukosr.degradation import DEGRADATIONS, image_rng
from leukosr.engine.parallel import count_workers, ordered_map
from leukosr.images.reading import read_rgb, write_png
from leukosr.stages import degrade

SEED = 0
GOAL = 1.8


def run(options: Options) -> list[Row]:
    """One row: images a second, with the shares of decoding and encoding."""
    params, workers = published_params("degrade=capstone"), count_workers("auto")
    count = max(options.pick(6000, 64), 4 * workers)  # fewer would be done without workers
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        files = image_set(folder / "hr", count)

        def new() -> Path:  # as the stage: files that are there already would be replaced in half the time
            return Path(tempfile.mkdtemp(dir=folder))

        found = compare(
            lambda: plain(files, new()),
            lambda: ours(files, new(), params, workers),
            options.rounds, reference_items=count, our_items=count,
        )  # fmt: skip
        start = seconds_of(lambda: ours(files[: 4 * workers], new(), params, workers))
        parts = _parts(files[:: max(1, count // options.pick(600, 30))], new(), params)
        scaling = _scaling(files[: options.pick(1500, 30)], folder, workers)
    return [_row(found, parts, start, scaling, workers, count)]


def plain(files: Sequence[Path], folder: Path) -> None:
    """The published script's steps in a plain OpenCV loop.

    The noise comes from the project's generators, so that the images can be compared byte for byte.
    """
    folder.mkdir(exist_ok=True)
    for file in files:
        image = cv2.cvtColor(np.asarray(cv2.imread(str(file))), cv2.COLOR_BGR2RGB)
        image = cv2.resize(image, (SIZE[1], SIZE[0]), interpolation=cv2.INTER_CUBIC)
        image = cv2.GaussianBlur(image, (15, 15), 0)
        image = cv2.resize(image, (SIZE[1] // 4, SIZE[0] // 4), interpolation=cv2.INTER_CUBIC)
        noise = np.trunc(image_rng(SEED, file.stem).normal(0, 25, image.shape)).astype(np.int64) % 256
        image = cv2.cvtColor(cv2.add(image, noise.astype(np.uint8)), cv2.COLOR_RGB2BGR)
        encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 70])[1]
        image = cv2.GaussianBlur(np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR)), (5, 5), 0)
        cv2.imwrite(str(folder / f"{file.stem}.png"), image)


def ours(files: Sequence[Path], folder: Path, params: Params, workers: int) -> None:
    """What the stage `degrade` does with its images."""
    settings = degrade.degradation_settings(params)
    tasks = [degrade._Task(file, folder, "png", file.stem, params.image, "capstone", settings, SEED) for file in files]
    for _ in ordered_map(degrade._degrade, tasks, workers):
        pass


def _parts(files: Sequence[Path], folder: Path, params: Params) -> dict[str, float]:
    """Seconds an image of each part of our work, on one core."""
    cv2.setNumThreads(1)  # as in a worker
    apply = DEGRADATIONS["capstone"](degrade.degradation_settings(params))
    sums = dict.fromkeys(("JPEG decoding", "degradation", "PNG encoding"), 0.0)
    for file in files:
        marks = [time.perf_counter()]
        image = read_rgb(file)
        marks.append(time.perf_counter())
        image = apply(image, image_rng(SEED, file.stem))
        marks.append(time.perf_counter())
        write_png(folder / f"{file.stem}.png", image)
        marks.append(time.perf_counter())
        for name, seconds in zip(sums, np.diff(marks), strict=True):
            sums[name] += seconds / len(files)
    return sums


def _scaling(files: Sequence[Path], folder: Path, workers: int) -> float:
    """How many times the work of one process so many do at once: the plain loop, each on all files, nothing shared."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        list(pool.map(_alone, [files[:2]] * workers, [folder / f"warm{i}" for i in range(workers)]))
        one = seconds_of(lambda: pool.submit(_alone, files, folder / "one").result())
        folders = [folder / f"many{number}" for number in range(workers)]
        many = seconds_of(lambda: list(pool.map(_alone, [files] * workers, folders)))
    return workers * one / many


def _alone(files: Sequence[Path], folder: Path) -> None:
    cv2.setNumThreads(1)
    plain(files, folder)


def _row(found: Comparison, parts: dict[str, float], start: float, scaling: float, workers: int, count: int) -> Row:
    whole, plain_seconds = sum(parts.values()), float(np.median(found.reference))
    shares = ", ".join(f"{name} {100 * seconds / whole:.0f} %" for name, seconds in parts.items())
    best = plain_seconds / (whole / workers + start / count)
    limit = (
        f"an image takes one core {1000 * whole:.2f} ms ({shares}) and the plain loop, whose widest blur OpenCV shares "
        f"out to all cores, {1000 * plain_seconds:.2f} ms. {workers} workers start in {start:.2f} s; if they lose "
        f"nothing else, they reach {best:.2f}x. {workers} processes at once, each with the plain loop on files of its "
        f"own and one thread, do {scaling:.2f} times the work of one here"
    )
    note = f"{count} images, {workers} workers and their start; of an image's time {shares}"
    name, goal = "capstone degradation, disk to disk", f"ratio >= {GOAL}"
    return found.row("capstone", name, "images/s", goal, note=note, limit=limit, allowed=best)
