"""docs/reliability.md from the table of a campaign; `make campaign` calls `python -m tests.faults.page TABLE PAGE`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.machine import machine_facts
from leukosr.versions import git_commit

HEAD = """# Reliability

How LeukoSR behaves when things go wrong: files that are not what they claim, killed processes, servers that do not
answer. Each row is one kind of fault, each trial one injected fault; it is *right* if LeukoSR did what the test of that
kind in [tests/faults/](../tests/faults/) requires. `make test` runs a sample of the trials, `make campaign` runs all of
them and writes this page.
"""


def page(rows: Iterable[dict], measured: str) -> str:
    """The page of the rows `{kind, tried, failed: names}`, sorted by kind; rows of one kind are added up."""
    tried: dict[str, int] = {}
    failed: dict[str, list[str]] = {}
    for row in rows:
        tried[row["kind"]] = tried.get(row["kind"], 0) + row["tried"]
        failed.setdefault(row["kind"], []).extend(row["failed"])
    table = [
        f"| {kind} | {count} | {count - len(failed[kind])} | {len(failed[kind])} |"
        for kind, count in sorted(tried.items())
    ]
    lists = [f"- {kind}: {', '.join(names)}" for kind, names in sorted(failed.items()) if names]
    parts = [
        HEAD,
        measured,
        "",
        "| kind of fault | tried | right | failed |",
        "|---|---|---|---|",
        *table,
        *(["", "What failed:", "", *lists] if lists else []),
    ]
    return "\n".join(parts) + "\n"


def main(table: Path, target: Path) -> None:
    """Write the page; without a single row the earlier one stays and the command fails."""
    rows = [json.loads(line) for line in table.read_text(encoding="utf-8").splitlines()]
    if not rows:
        sys.exit(f"{table} holds no trials: {target} was left as it was")
    facts = machine_facts()
    measured = (
        f"Campaign of {datetime.now(UTC):%Y-%m-%d}, commit {git_commit()}, on {facts['cpu']} ({facts['cores']} cores, "
        f"{facts['system']}, Python {facts['python']}, torch {facts['torch']}):"
    )
    target.write_text(page(rows, measured), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
