"""Snapshots of finished studies that git keeps."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from leukosr.config import Params
from leukosr.data.splits import SPLITS
from leukosr.errors import LeukoError
from leukosr.evaluate.arms.declared import SIDECAR
from leukosr.files import new_folder, write_json
from leukosr.layout import Layout, require
from leukosr.outputs import claimed
from leukosr.versions import git_commit, installed_versions

ON_THE_PAGE = ("grid.png", "samples_*.png")  # photographs, megabytes as PNG, which the page itself holds


def publish_results(params: Params, params_file: Path, layout: Layout, target: Path) -> Path:
    """Copy the report with its figures, metrics, params.yaml, dvc.lock, versions and commit of a study to `target`.

    Photographs of cells stay out of figures/, as the page holds them. Manifest and roles are included if the study
    claims a split by source, so that anyone can check it; claims lie beside predictions. An existing snapshot of that
    name is replaced. Raises LeukoError when the study is not finished, or something else lies at `target`.
    """
    plain = target.name == target.name.strip() and not target.name.startswith(".")
    if not plain or target.parent != Path("results"):
        raise LeukoError(f"'{target}' is not a folder directly below results/: give --name a plain name")
    require(layout.report / "index.html", "report")
    if subprocess.run([sys.executable, "-m", "dvc", "status", "--quiet", "dvc.yaml"], check=False).returncode:
        raise LeukoError("params.yaml, the data or the results changed since the last run: run `dvc repro` first")
    with claimed(target, "publish"), new_folder(target) as folder:
        shutil.copytree(layout.report, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*ON_THE_PAGE))
        for metrics in _metrics_of(params, layout):
            place = folder / "metrics" / metrics.parent.relative_to(layout.root)
            place.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(metrics, place / "metrics.json")
        if any(SPLITS[name].disjoint for name in params.study.protocols):
            for table in (layout.manifest, layout.roles):
                shutil.copyfile(table, folder / table.name)
        for name, own in prediction_folders(params, layout).items():
            table = folder / "plots" / "confusion" / f"{name}.csv"
            if (sidecar := own / SIDECAR).is_file() and table.is_file():
                shutil.copyfile(sidecar, table.with_name(f"{name}.{SIDECAR}"))
        shutil.copyfile(params_file, folder / "params.yaml")
        lock = require(params_file.parent / "dvc.lock", "report")
        shutil.copyfile(lock, folder / "dvc.lock")
        about = {
            "study": params.study.name,
            "budget": params.budget.name,
            "budget_note": params.budget.note,
            "commit": git_commit(),
            "versions": installed_versions(),
        }
        write_json(folder / "about.json", about)
    return target


def prediction_folders(params: Params, layout: Layout) -> dict[str, Path]:
    """Where the predictions.csv of each experiment lies, by the name of its copy in plots/confusion."""
    several = len(params.study.protocols) > 1
    return {
        f"{name}_{protocol}" if several else name: layout.classify(name, protocol)
        for name in params.classify
        for protocol in params.protocols_of(name)
    }


def _metrics_of(params: Params, layout: Layout) -> list[Path]:
    """Of every stage of the study: not of arms that it had before, nor of what a killed stage left."""
    names = {"sr": params.train_sr, "arms": params.arms, "quality": params.arms, "classify": params.classify}
    found = []
    for metrics in sorted(layout.root.rglob("metrics.json")):
        stage, *within = metrics.parent.relative_to(layout.root).parts
        if stage not in names or within[0] in names[stage]:
            found.append(metrics)
    return found
