"""The file of results is well formed, keeps what was not measured again, and becomes a page."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks import __main__ as command
from benchmarks import measure, runner
from benchmarks.machine import machine_facts
from benchmarks.measure import Row, Work
from benchmarks.page import write_page
from benchmarks.results import Results, merged, read_results, write_results
from benchmarks.roofline import with_goal
from leukosr.errors import LeukoError

MACHINE = {
    "cpu": "a processor", "cores": 2, "cpu_capability": "AVX512", "amx": False, "bf16_native": True, "limited_by": [],
    "device": "cpu", "torch": "2",
}  # fmt: skip
ORDER = ("roofline", "first", "second")
BEST = [
    Row("roofline", "matrix product, bf16", "GFLOP/s", 100.0, 200.0),
    Row("roofline", "memory copy", "GB/s", None, 10.0),
]
SLOW = Row("first", "upscaling", "images/s", 1.0, 2.0, 2.0, (1.9, 2.1), "ratio >= 4", 5, work=Work(5e10, 1e9, "bf16"))
FAST = Row(
    "second", "comparing", "pairs/s", 10.0, 50.0, 5.0, (4.9, 5.2), "ratio >= 4", 5, "two workers", measured="then"
)  # fmt: skip


@pytest.mark.parametrize("content", ["{", "[]", '{"machine": {}}', '{"machine": {}, "rows": [{"name": "first"}]}'])
def test_a_file_that_holds_no_results_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "bad.json").write_text(content)
    with pytest.raises(LeukoError, match=r"bad\.json holds no results of benchmarks"):
        read_results(tmp_path / "bad.json")


def test_results_come_back_as_they_were_written(tmp_path: Path) -> None:
    results = Results(MACHINE, [*BEST, SLOW, FAST])
    write_results(tmp_path / "results.json", results)
    assert read_results(tmp_path / "results.json") == results
    content = json.loads((tmp_path / "results.json").read_text())
    assert content["machine"]["amx"] is False
    wanted = {"name", "unit", "reference", "ours", "ratio", "spread", "goal", "rounds"}
    assert all(wanted <= row.keys() for row in content["rows"])
    assert [row["met"] for row in content["rows"]] == [None, None, False, True]


def test_a_benchmark_measured_again_replaces_its_own_rows_alone() -> None:
    old = Results(MACHINE, [SLOW, FAST])
    faster = replace(SLOW, ours=8.0, ratio=8.0)
    new = merged(old, Results(MACHINE, [faster]), ["first"], ORDER)
    assert new == Results(MACHINE, [faster, FAST])
    with pytest.raises(LeukoError, match="another cpu, cores"):
        merged(old, Results({**MACHINE, "cpu": "faster", "cores": 64}, []), ["first"], ORDER)


def test_the_page_shows_the_rows_and_the_limit_of_a_missed_goal(tmp_path: Path) -> None:
    write_results(tmp_path / "results.json", Results(MACHINE, [*BEST, SLOW, FAST]))
    write_page([tmp_path / "results.json"], tmp_path / "page.md")
    page = (tmp_path / "page.md").read_text()
    assert "## On a processor, a processor with AVX-512 BF16" in page
    assert "a processor, 2 cores; torch 2 uses AVX512, without AMX; precision `auto` means bf16." in page
    assert "| upscaling | images/s | 1 | 2 | 2 (1.9 … 2.1) | ratio ≥ 4 ✗ | 5 |" in page
    assert "| comparing | pairs/s | 10 | 50 | 5 (4.9 … 5.2) | ratio ≥ 4 ✓ | 5 |" in page
    assert "- comparing: two workers." in page
    missed = page.partition("### Goals that are missed")[2]
    assert "50 GFLOP in bf16 and 1 GB" in missed  # 0.25 s at 200 GFLOP/s, 0.1 s at 10 GB/s
    assert "takes 0.25 s" in missed
    assert "50 % of the product" in missed
    assert "4.00x the reference" in missed
    assert "comparing" not in missed
    assert "Measured at an unknown commit: roofline, first; then: second." in page


def test_the_goal_of_a_network_is_what_the_measured_machine_allows(tmp_path: Path) -> None:
    # 5e10 operations at 200 GFLOP/s take 0.25 s where the reference takes 1 s: 4 times as fast; 1.6 may be lost
    row = with_goal(SLOW, BEST)
    assert (row.allowed, row.goal, row.first_goal, row.met) == (4.0, "ratio >= 2.50", "ratio >= 4", False)
    assert with_goal(row, BEST) == row
    assert with_goal(replace(SLOW, ratio=2.5), BEST).met
    assert with_goal(replace(FAST, allowed=5.6), BEST).goal == "ratio >= 3.50"
    assert with_goal(FAST, BEST) == FAST  # nothing of it depends on the processor
    assert with_goal(SLOW, []) == SLOW  # the roofline was not measured
    write_results(tmp_path / "results.json", Results(MACHINE, [*BEST, row]))
    write_page([tmp_path / "results.json"], tmp_path / "page.md")
    page = (tmp_path / "page.md").read_text()
    assert "- upscaling: the first goal, ratio >= 4, was set for a processor with AMX." in page


def test_an_older_processor_has_a_chapter_of_its_own(tmp_path: Path) -> None:
    limits = ["ATEN_CPU_CAPABILITY=avx2", "ONEDNN_MAX_CPU_ISA=AVX2"]
    older = {**MACHINE, "cpu_capability": "AVX2", "bf16_native": False, "limited_by": limits}
    write_results(tmp_path / "results.json", Results(MACHINE, [FAST]))
    write_results(tmp_path / "results-avx2.json", Results(older, [FAST]))
    write_page([tmp_path / "results.json", tmp_path / "results-avx2.json"], tmp_path / "page.md")
    page = (tmp_path / "page.md").read_text()
    assert "## On a processor without bf16 instructions (AVX2)" in page
    assert "made to behave like an older one by ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2" in page
    assert "precision `auto` means fp32" in page


def test_machine_facts_are_whole() -> None:
    facts = machine_facts()
    assert {"cpu", "cores", "amx", "torch", "device"} <= facts.keys()
    assert facts["cores"] >= 1


def test_the_command_measures_single_benchmarks_and_writes_where_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "in_child", lambda function, *args: function(*args))
    out = tmp_path / "results.json"
    command.main(["roofline"], quick=True, out=out)
    results = read_results(out)
    assert [row.unit for row in results.rows] == ["GFLOP/s", "GFLOP/s", "GB/s"]
    assert all(row.ours > 0 for row in results.rows)


def test_an_unknown_benchmark_is_named() -> None:
    result = CliRunner().invoke(command.app, ["nothing"])
    assert result.exit_code == 2
    assert "nothing" in result.output


def test_every_benchmark_that_the_command_names_has_a_file() -> None:
    for name in runner.BENCHMARKS:
        assert (command.HERE / f"{name}.py").is_file()
