"""Trials in a database or a journal: every cell once, whatever happens to the processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from optuna.trial import TrialState
from optuna_dashboard import get_note

from leukosr.engine.databases import storage_url
from leukosr.engine.this_process import this_process
from leukosr.errors import Diverged, LeukoError
from leukosr.tracking import trial_store
from leukosr.tracking.trial_attempt import Attempt, Space
from leukosr.tracking.trial_storage import open_storage
from leukosr.tracking.trial_store import TrialStore
from leukosr.tracking.trials_view import trials_address

FIXED = [{"learning_rate": rate, "init": seed} for rate in (0.1, 0.01) for seed in (1, 2)]
CHOICES: dict[str, list[Any]] = {"learning_rate": [0.01, 0.1], "init": [1, 2]}


def test_the_dashboard_opens_what_the_environment_or_else_the_parameters_name(
    compose_raw: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = tmp_path / "params.yaml"
    params.write_text(yaml.safe_dump(compose_raw("runtime.optuna_storage=journal:trials/own.log")))
    monkeypatch.delenv("LEUKOSR_OPTUNA_STORAGE", raising=False)
    assert trials_address(params) == "trials/own.log"
    monkeypatch.setenv("LEUKOSR_OPTUNA_STORAGE", "sqlite:///other.db")
    assert trials_address(tmp_path / "none.yaml") == "sqlite:///other.db"


@pytest.fixture(params=["sqlite", "journal"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'o.db'}" if request.param == "sqlite" else f"journal:{tmp_path / 'new' / 'o.log'}"


def store(url: str, cells: int = 4, name: str = "s") -> TrialStore:
    return TrialStore(url, name, cells, heartbeat_seconds=1, metric="accuracy", seed=0)


def measure(attempt: Attempt) -> Mapping[str, float]:
    attempt.given(CHOICES, {"varied": "all"})
    attempt.note(mlflow_run_id=f"run{attempt.cell}")
    return {"accuracy": 0.5 + attempt.cell / 10, "macro_f1": 0.1}


def test_every_cell_is_done_once_and_keeps_what_it_was_given(url: str) -> None:
    opened = store(url)
    opened.start(FIXED)
    opened.work(measure, FIXED)
    opened.start(FIXED)
    opened.work(measure, FIXED)  # nothing is left
    found = opened.finished()
    assert [each.cell for each in found] == [0, 1, 2, 3]
    assert [each.parameters for each in found] == [{**fixed, "varied": "all"} for fixed in FIXED]
    assert [each.metrics["accuracy"] for each in found] == [0.5, 0.6, 0.7, 0.8]
    assert [each.run_id for each in found] == ["run0", "run1", "run2", "run3"]
    assert len(opened.study.trials) == 4


def test_the_dashboard_shows_a_note_and_what_the_trials_are_about_and_each_once(url: str) -> None:
    for _ in range(2):
        store(url).describe({"arm": "raw", "budget": "smoke"}, "seeds are not to be chosen")
    study = store(url).study
    assert get_note(study) == "seeds are not to be chosen"
    assert study.user_attrs == {"arm": "raw", "budget": "smoke"}


def test_a_cut_sweep_goes_on_where_it_was(url: str) -> None:
    seen: list[int] = []

    def cut(attempt: Attempt) -> Mapping[str, float]:
        seen.append(attempt.cell)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return measure(attempt)

    first = store(url)
    first.start(FIXED)
    with pytest.raises(KeyboardInterrupt):
        first.work(cut, FIXED)
    again = store(url)
    again.start(FIXED)
    again.work(cut, FIXED)
    assert seen == [0, 1, 2, 3, 2]
    assert [each.cell for each in again.finished()] == [0, 1, 2, 3]


def test_trials_of_a_dead_process_are_done_again(url: str) -> None:
    dead = store(url)
    dead.start(FIXED)
    trial = dead.study.ask()  # as a process that is killed right after
    host = "another host" if "sqlite" in url else this_process()[0]
    trial.set_user_attr("process", [host, os.getpid(), 1.0])  # the number is in use again, by a later process
    if "sqlite" in url:
        dead.storage.record_heartbeat(trial._trial_id)  # type: ignore[attr-defined]
    again = store(url)
    again.start(FIXED)
    again.work(measure, FIXED)
    assert [each.cell for each in again.finished()] == [0, 1, 2, 3]
    assert again.study.trials[trial.number].state == TrialState.FAIL


def test_a_process_says_whom_it_waits_for_and_may_take_over(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial_store, "PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(trial_store, "POLL_SECONDS", 0.2)
    monkeypatch.setattr(trial_store, "fail_stale_trials", lambda study: None)  # as a journal, which has no heartbeat
    gone = store(url)
    gone.start(FIXED)
    trial = gone.study.ask()
    trial.set_user_attr("process", ["elsewhere pid:[1]", 1, 1.0])
    trial.set_user_attr("mlflow_run_id", "run-1")

    def heard(sentence: str) -> None:
        said.append(sentence)
        raise KeyboardInterrupt

    said: list[str] = []
    waiting = store(url)
    waiting.start(FIXED)
    with pytest.raises(KeyboardInterrupt):
        waiting.work(measure, FIXED, heard)
    assert said[0].startswith("waiting for 1 trial that processes on elsewhere have under way")
    assert waiting.abandoned_runs() == []
    after = store(url)
    after.start(FIXED, take_over=True)
    after.work(measure, FIXED)
    assert [each.cell for each in after.finished()] == [0, 1, 2, 3]
    assert after.abandoned_runs() == ["run-1"]


def test_a_mistake_is_kept_and_not_tried_again(url: str) -> None:
    def failing(attempt: Attempt) -> Mapping[str, float]:
        if attempt.cell == 1:
            raise Diverged("the loss is not finite")
        return measure(attempt)

    opened = store(url)
    opened.start(FIXED)
    opened.work(failing, FIXED)
    opened.start(FIXED)
    found = opened.finished()
    assert [each.error for each in found] == [None, "the loss is not finite", None, None]
    assert len(opened.study.trials) == 4


def test_any_other_error_comes_through(url: str) -> None:
    def broken(attempt: Attempt) -> Mapping[str, float]:
        raise ZeroDivisionError

    opened = store(url)
    opened.start(FIXED)
    with pytest.raises(ZeroDivisionError):
        opened.work(broken, FIXED)


def test_a_search_draws_prunes_and_stops_at_its_number(url: str) -> None:
    space = Space((0.0001, 0.1), (0.00001, 0.1), 1.0)

    def search(attempt: Attempt) -> Mapping[str, float]:
        drawn = attempt.drawn(space)
        assert set(drawn) == {"learning_rate", "weight_decay", "augmentation"}
        value = 1 - abs(drawn["augmentation"] - 0.5)
        for step in (1, 2):
            if attempt.hopeless(value, step):
                break
        return {"accuracy": value}

    nothing: list[dict[str, Any]] = [{} for _ in range(25)]
    opened = store(url, cells=25)
    opened.start(nothing)
    opened.work(search, nothing)
    found = opened.finished()
    assert [each.cell for each in found] == list(range(25))
    assert any(each.pruned for each in found) and not all(each.pruned for each in found)
    assert max(each.metrics.get("accuracy", 0) for each in found) > 0.9


def test_what_a_parameter_explains(url: str) -> None:
    def by_rate(attempt: Attempt) -> Mapping[str, float]:
        attempt.given(CHOICES, {})
        return {"accuracy": 0.9 if attempt.cell < 2 else 0.1}

    opened = store(url)
    assert opened.importances() == {}
    opened.start(FIXED)
    opened.work(by_rate, FIXED)
    importances = opened.importances()
    assert importances["learning_rate"] > 0.9


def test_figures_are_artifacts_of_the_study(url: str, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"figure")
    opened = store(url)
    for _ in range(2):
        opened.attach([tmp_path / "a.png"], tmp_path / "artifacts")
    (kept,) = (tmp_path / "artifacts").iterdir()
    assert kept.read_bytes() == b"figure"
    (meta,) = optuna.artifacts.get_all_artifact_meta(opened.study)
    assert (meta.artifact_id, meta.filename, meta.mimetype) == (kept.name, "a.png", "image/png")


def test_the_environment_goes_before_the_parameter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LEUKOSR_OPTUNA_STORAGE", raising=False)
    assert storage_url("sqlite:///a.db") == "sqlite:///a.db"
    monkeypatch.setenv("LEUKOSR_OPTUNA_STORAGE", "journal:b")
    assert storage_url("sqlite:///a.db") == "journal:b"


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "sqlite:////no/such/folder/o.db",
        "oracel://a/b",
        "postgresql://me:secret@127.0.0.1:1/x",
        "journal:/dev/null/below/a/file",
        "journal:.",
        "journal:damaged.log",
    ],
)
def test_a_storage_that_cannot_be_opened_is_named_without_its_password(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("damaged.log").write_text("no JSON\nno more\n")
    with pytest.raises(LeukoError, match=r"storage .* cannot be opened") as error:
        open_storage(url, 10)
    assert "secret" not in str(error.value)


def test_a_problem_that_can_be_mended_is_not_kept(url: str) -> None:
    def offline(attempt: Attempt) -> Mapping[str, float]:
        raise LeukoError("the weights could not be fetched")

    opened = store(url)
    opened.start(FIXED)
    with pytest.raises(LeukoError, match="could not be fetched"):
        opened.work(offline, FIXED)
    again = store(url)
    again.start(FIXED)
    again.work(measure, FIXED)
    assert [each.error for each in again.finished()] == [None] * 4


def test_a_trial_that_others_gave_up_meanwhile_is_made_again(url: str) -> None:
    seen: list[int] = []

    def slow(attempt: Attempt) -> Mapping[str, float]:
        seen.append(attempt.cell)
        if len(seen) == 1:  # as after a sleep of the machine: another process takes this one for dead
            store(url).study.tell(attempt.number, state=TrialState.FAIL)
        return measure(attempt)

    opened = store(url)
    opened.start(FIXED)
    opened.work(slow, FIXED)
    assert sorted(seen) == [0, 0, 1, 2, 3]
    assert [each.cell for each in opened.finished()] == [0, 1, 2, 3]


def test_first_draws_of_a_search_depend_on_the_trial_and_not_on_the_process(tmp_path: Path) -> None:
    space = Space((0.0001, 0.1), (0.0, 0.0), 0.0)

    def drawn(name: str, restart: bool) -> list[float]:
        rates: list[float] = []

        def search(attempt: Attempt) -> Mapping[str, float]:
            if restart and len(rates) == 2:
                raise KeyboardInterrupt
            rates.append(attempt.drawn(space)["learning_rate"])
            return {"accuracy": 0.5}

        nothing: list[dict[str, Any]] = [{} for _ in range(4)]
        opened = store(f"sqlite:///{tmp_path / name}", name=name)
        opened.start(nothing)
        if restart:
            with pytest.raises(KeyboardInterrupt):
                opened.work(search, nothing)
            restart = False
            opened = store(f"sqlite:///{tmp_path / name}", name=name)
            opened.start(nothing)
        opened.work(search, nothing)
        return rates

    whole, cut = drawn("whole", False), drawn("cut", True)
    assert len(set(whole)) == 4
    assert cut[:2] == whole[:2] and len(set(cut)) == 4
