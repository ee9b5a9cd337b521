"""Both protocols in one study: sources are found, the parts are disjoint, the report refuses parts that are not."""

from __future__ import annotations

import csv
import json

import pytest

from leukosr.data.manifest import read_manifest
from leukosr.data.separation import check_disjoint
from leukosr.errors import LeukoError

from .conftest import Clone, stages_run, tiny

pytestmark = pytest.mark.pipeline

BOTH = [*tiny([]), "-S", "study.protocol=both", "-S", "synthesize.demo.train_sources=4", "-S", "arms=[raw]"]


@pytest.mark.slow
def test_both_protocols_run_on_disjoint_sources(clone: Clone) -> None:
    output = clone.run("dvc", "exp", "run", *BOTH)
    assert {"provenance@images", "prepare", "classify@raw"} <= stages_run(output)
    outputs = clone.root / "outputs" / "demo"
    with (outputs / "provenance" / "sources.csv").open() as file:
        found = {row["image"]: row["source"] for row in csv.DictReader(file)}
    assert len(found) == 5 * (4 + 2) * 2
    rows = read_manifest(outputs / "manifest.csv")
    check_disjoint(rows, "source_disjoint")
    for protocol in ("paper", "source_disjoint"):
        with (outputs / "classify" / "raw" / protocol / "predictions.csv").open() as file:
            tested = {row["image"] for row in csv.DictReader(file)}
        assert tested == {row.id for row in rows if row.role(protocol) == "classifier_test"}
    summary = json.loads((clone.root / "reports/demo/summary.json").read_text())
    assert summary["paper"].keys() == summary["source_disjoint"].keys() == {"raw"}
    assert "source_disjoint: 0 of 20 test images (0 %) share a micrograph with the classifiers' training" in output
    assert clone.changed_stages() == set()
    names = {run.data.tags["mlflow.runName"] for run in clone.runs()}
    assert {"classify raw paper seed 3", "classify raw source_disjoint seed 3"} <= names

    clone.run("leukosr", "publish", "--name", "demo-both")
    published = clone.root / "results" / "demo-both"
    assert {path.name for path in published.iterdir()} == {
        ".leukosr-output", "about.json", "comparison.csv", "dvc.lock", "figures", "index.html", "manifest.csv",
        "metrics", "params.yaml", "plots", "roles.csv", "scores", "sheet.md", "summary.json",
    }  # fmt: skip
    assert read_manifest(published / "manifest.csv") == rows

    manifest = outputs / "manifest.csv"  # a test image whose source a classifier also trains on
    train = next(row for row in rows if row.role("source_disjoint") == "classifier_train")
    test = next(row for row in rows if row.role("source_disjoint") == "classifier_test")
    manifest.unlink()  # a link into DVC's cache otherwise
    text = "\n".join(
        ",".join((r.id, r.path, r.label, train.source if r is test else r.source, str(r.width), str(r.height)))
        for r in rows
    )
    manifest.write_text("id,path,class,source,width,height\n" + text + "\n")
    with pytest.raises(LeukoError, match="not source-disjoint"):
        check_disjoint(read_manifest(manifest), "source_disjoint")
    for command in ("report", "show"):
        assert f"source {train.source} is used as" in clone.run("leukosr", command, fails=True)
