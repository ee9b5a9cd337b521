"""`leukosr doctor`: what this machine offers, the state of the project, and what would keep a study from running.

It changes nothing and waits for no server: the answer takes a second or two, most of it the import of torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from leukosr.config import Params, load_params
from leukosr.doctor.diagnosis import Diagnosis, Problem
from leukosr.doctor.machine import examine_machine
from leukosr.doctor.project import examine_project
from leukosr.errors import LeukoError
from leukosr.quoting import counted

__all__ = ["Diagnosis", "Problem", "examine", "show_diagnosis"]


def examine(params_file: Path = Path("params.yaml")) -> Diagnosis:
    """Examine versions, hardware, memory, disk, parameters, data, DVC, MLflow, Optuna and git."""
    diagnosis = Diagnosis()
    params: Params | None = None
    try:
        params = load_params(params_file)
    except LeukoError as error:
        there = params_file.exists()
        taken = "take the committed one with `git checkout params.yaml`"
        diagnosis.problem(
            str(error), f"correct it, or {taken}" if there else f"run it there; if you are there, {taken}"
        )
    examine_machine(diagnosis, params)
    examine_project(diagnosis, params, params_file)
    return diagnosis


def show_diagnosis(diagnosis: Diagnosis, console: Console) -> None:
    """Print one line per fact, and the problems with their remedies."""
    facts = diagnosis.facts
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    lock = facts.get("lock")
    lines = {
        "versions": versions,
        "processor": f"{facts['processor']}: {', '.join(facts['cpu_features'])}; torch uses {facts['cpu_capability']}",
        "device": " – ".join(str(part) for part in (facts["device"], facts["device_name"], facts["driver"]) if part),
        "precision": _precision_words(facts),
        "threads": ", ".join(counted(facts[name], name.removesuffix("s")) for name in ("threads", "workers", "cores"))
        + " in the machine",
        "memory": f"{facts['memory_free_gib']} of {facts['memory_gib']} GiB free",
        "disk": f"{facts['disk_free_gib']} GiB free",
        "study": f"{facts['study']}, budget {facts['budget']}" if "study" in facts else "params.yaml cannot be read",
        "images": ", ".join(
            f"{root} {'there' if there else 'absent'}" for root, there in facts.get("data", {}).items()
        ),
        "dvc.lock": "none" if lock is None else _lock_words(lock),
        "MLflow": _store_words(facts["mlflow"]["uri"], facts["mlflow"], "runs"),
        "Optuna": _store_words(facts["optuna"]["storage"], facts["optuna"], "trials"),
        "git": facts["git"],
    }
    for name, text in lines.items():
        console.print(Text(f"{name:10}", "bold"), text)
    for each in diagnosis.problems:
        console.print(Text("problem:", "bold red"), each.what)
        console.print(Text("  remedy:", "bold"), each.remedy)
    if not diagnosis.problems:
        console.print(Text("no problem found", "bold green"))


def _precision_words(facts: dict[str, Any]) -> str:
    words, speedup = f"auto means {facts['precision']} here", facts["bf16_speedup"]
    if not facts["bf16_native"]:
        return f"{words}: no bf16 instructions that torch could use"
    if speedup is None:
        return words
    return f"{words}; a convolution is {speedup} times as fast in bf16 as in fp32"


def _lock_words(lock: dict[str, object]) -> str:
    changed, missing = lock["changed"], lock["missing"]
    words = f"{lock['stages']} stages, " + ("made with these parameters" if not changed else "other parameters")
    return words + (", all results here" if not missing else ", results not here: `make repro` makes them")


def _store_words(place: str, facts: dict[str, object], rows: str) -> str:
    there = facts["there"]
    if there is None:
        return f"{place} (a server: not asked)"
    if not there:
        return f"{place} (made at the first run)"
    return f"{place} ({facts[rows]} {rows})" if rows in facts else f"{place} (there)"
