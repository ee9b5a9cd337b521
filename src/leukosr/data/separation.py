"""Test images stay apart from what is trained on: a manifest that breaks this is refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from leukosr.data.manifest import BOTH, FOLD, SR_ROLES, Row, is_measured, is_tested, with_role
from leukosr.errors import LeukoError
from leukosr.quoting import counted
from leukosr.settings import Protocol

if TYPE_CHECKING:  # a study knows the splits, which are checked here
    from leukosr.data.study import Study


def untested_rows(rows: Iterable[Row], protocols: Sequence[Protocol], arm: str) -> list[Row]:
    """The rows that no protocol tests: all that the networks of an arm which know the label may be shown.

    Raises LeukoError where one of them trains a classifier under another protocol, or in another fold.
    """
    rows = list(rows)
    tested = {row.id: row for row in rows if any(is_tested(row, protocol) for protocol in protocols)}
    for protocol in protocols:
        trained = [
            row
            for row in tested.values()
            if row.role(protocol).startswith(FOLD) or row.plays(protocol, "classifier_train", "classifier_val")
        ]
        if trained:
            raise LeukoError(
                f"the arm {arm} is made by networks that know the label, so it may hold no test image, but {protocol} "
                f"trains on {len(trained)} of {len(tested)} test images, e.g. {trained[0].id}: leave out the arm, or "
                "take another study.protocol, without folds"
            )
    return [row for row in rows if row.id not in tested]


def refuse_trained_tests(rows: Iterable[Row], study: Study) -> None:
    """Raise LeukoError where SR would train on images that are tested under another protocol of the study."""
    trained = with_role(rows, study.sr_protocol, *SR_ROLES)
    for protocol in study.protocols:
        tested = [row for row in trained if is_tested(row, protocol)]
        if tested:
            raise LeukoError(
                f"study.protocol: SR would train on {counted(len(tested), 'image')} under {study.sr_protocol}, tested "
                f"under {protocol}, e.g. {tested[0].id}: run the protocols as studies of their own"
            )


def trained_sources(rows: Sequence[Row], protocol: Protocol) -> Iterator[str]:
    """A sentence on the sources that classifiers would see in training and in testing, where there are any."""
    trained = {row.source for row in rows if row.plays(protocol, "classifier_train")} - {""}
    tested = {row.source for row in rows if is_tested(row, protocol)} - {""}
    if both := len(trained & tested):
        yield (
            f"{both} of {counted(len(tested), 'test source')} {'is' if both == 1 else 'are'} also in the training set: "
            "accuracy on new sources will be lower than measured (docs/leakage.md)"
        )


def check_disjoint(rows: Sequence[Row], protocol: Protocol) -> None:
    """Raise LeukoError where a source is in two parts under a protocol.

    Parts are SR, the classifiers' training, validation and test, and each fold. Images that both SR and classifiers use
    count as one part.
    """
    uses_of = {role: _uses(role) for role in {row.role(protocol) for row in rows}}
    alike = [uses for uses in uses_of.values() if len(uses) > 1]
    used: dict[str, set[str]] = {}
    for row in rows:
        own = uses_of[row.role(protocol)]
        if not own:
            continue
        if not row.source:
            part = " and ".join(sorted(own))
            raise LeukoError(f"the manifest is not source-disjoint: {row.id} is used as {part} but has no source")
        before = used.setdefault(row.source, set(own))
        if not own <= before and not any(own | before <= uses for uses in alike):
            raise LeukoError(
                f"the manifest is not source-disjoint: source {row.source} is used as {min(before)} and, by "
                f"{row.id}, as {min(own - before)}; make it again with `dvc repro --force --single-item prepare`"
            )
        before |= own
    if not used:
        raise LeukoError(f"the manifest gives no image a role under {protocol}: run `dvc repro prepare`")


def _uses(role: str) -> frozenset[str]:
    """What images of a role are used for, in training SR or in a measure; empty for references and the unused."""
    if not is_measured(role) and not any(part in SR_ROLES for part in role.split(BOTH)):
        return frozenset()
    return frozenset("SR training" if part in SR_ROLES else part for part in role.split(BOTH))
