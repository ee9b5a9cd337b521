"""What the published snapshots claim, checked against the files beside them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml

from leukosr.data.manifest import check_disjoint, read_manifest

RESULTS = Path(__file__).resolve().parents[1] / "results"
SNAPSHOTS = sorted(path.parent for path in RESULTS.glob("*/params.yaml"))


def protocol(snapshot: Path) -> str:
    return str(yaml.safe_load((snapshot / "params.yaml").read_text())["study"]["protocol"])


BY_SOURCE = [snapshot for snapshot in SNAPSHOTS if protocol(snapshot) != "paper"]


def test_the_real_sets_are_published_by_source() -> None:
    assert {"case1-leakage", "pbc-leakage"} <= {snapshot.name for snapshot in BY_SOURCE}


@pytest.mark.parametrize("snapshot", BY_SOURCE, ids=lambda snapshot: snapshot.name)
def test_no_source_of_a_real_set_plays_two_parts(snapshot: Path) -> None:
    check_disjoint(read_manifest(snapshot / "manifest.csv"))
    # the same by other means
    table = pd.read_csv(snapshot / "manifest.csv", dtype=str)
    used = table[~table.role_source_disjoint.isin(["unused", "reference"])]
    parts = used.role_source_disjoint.replace({"sr_val": "sr_train"}).groupby(used.source).nunique()
    assert used.source.notna().all()
    assert len(parts) >= 30
    assert parts.max() == 1
