"""The readers that are fuzzed, with inputs to start from: by `fuzz.py` with coverage, by `test_readers.py` without."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.faults.fuzz import Target

from leukosr.data.catalogue import Checked, SetFile
from leukosr.data.manifest import COLUMNS, Row, folds_of, read_manifest
from leukosr.data.provenance.facts import folder_splits
from leukosr.data.separation import check_disjoint
from leukosr.data.sources import read_sources
from leukosr.data.split_table import read_split
from leukosr.errors import LeukoError

ROOT = Path(__file__).resolve().parents[2]
IMAGES = [Checked(SetFile(path, label, "all"), 9, 9) for path, label in (("a/1.png", "a"), ("b/2.png", "b"))]
PREDICTIONS = b"image,source,seed,true,predicted,p_a,p_b\na/1,s,1,a,a,0.9,0.1\nb/2,,1,b,a,0.6,0.4\na/1,s,2,a,b,0,1\n"
TRIALS = b"trial,learning_rate,init,accuracy,state,varied\n0,0.1,1,0.5,COMPLETE,all\n1,0.1,2,0.6,COMPLETE,all\n"
SPLIT = b"path,label,split\na/1.png,a,train\nb/2.png,b,test\n"
SOURCES = b"path,source\na/1.png,P1\nb/2.png,P2\n"
ITEMS = f"{','.join(COLUMNS)}\na/1,a/1.png,a,s,9,9\nb/2,b/2.png,b,,9,9\n".encode()
ROLES = b"image,protocol,role\na/1,source_disjoint,fold_1\nb/2,paper,sr_train+classifier_train\n"
MANIFEST = (
    f"{','.join(COLUMNS)},role_paper,role_source_disjoint\na/1,a/1.png,a,s,9,9,unused,fold_1\n"
    "b/2,b/2.png,b,,9,9,sr_train,\n"
).encode()


def read_all_tables(path: Path) -> None:
    """Give one file to every reader of tables; each may refuse it."""
    for read in TABLE_READERS.values():
        try:
            read(path)
        except LeukoError as error:
            assert str(error)


def _predictions(path: Path) -> None:
    from leukosr.evaluate.arms.pairs import pair
    from leukosr.evaluate.arms.predictions import read_predictions

    arm = read_predictions(path, "arm")
    pair(arm, arm)


def _trials(path: Path) -> None:
    from leukosr.evaluate.runs.trials import read_trials

    read_trials(path, "accuracy")


def _split(path: Path) -> None:
    _as(path, "split.csv")
    read_split(path.parent)
    folder_splits(path.parent, [image.file.path for image in IMAGES])


def _sources(path: Path) -> None:
    _as(path, "sources.csv")
    read_sources(path.parent, IMAGES)


def _manifest(path: Path) -> None:
    _use(read_manifest(path))


def _roles(path: Path) -> None:
    manifest = path.with_name("manifest.csv")
    manifest.write_bytes(ITEMS)
    _as(path, "roles.csv")
    _use(read_manifest(manifest))


def _use(rows: list[Row]) -> None:
    folds_of(rows, "source_disjoint")
    check_disjoint(rows, "source_disjoint")


def _as(path: Path, name: str) -> None:
    path.with_name(name).write_bytes(path.read_bytes())


TABLE_READERS: dict[str, Callable[[Path], None]] = {
    "predictions": _predictions,
    "trials": _trials,
    "split.csv": _split,
    "sources.csv": _sources,
    "manifest": _manifest,
    "roles": _roles,
}
TABLES = {
    "predictions": PREDICTIONS, "trials": TRIALS, "split.csv": SPLIT, "sources.csv": SOURCES, "manifest": MANIFEST,
    "roles": ROLES,
}  # fmt: skip


def _tables() -> Target:
    seeds = (*TABLES.values(), PREDICTIONS.decode().replace(",", ";").encode("utf-16"), b"\xef\xbb\xbf" + SPLIT)
    tokens = (b",", b";", b"\t", b'"', b"'", b"\r", b"\n", b"\0", b"\\", b"/", b"..", b"=", b" ", b"\xa0", b"\xff\xfe",
              "\u00a0ü\u0308\u2028".encode(), b"p_", b"seed", b"source", b"accuracy", b"fold_")  # fmt: skip
    return Target(read_all_tables, "table.csv", seeds, tokens)


def _yaml() -> Target:
    from leukosr.config import load_params

    def read(path: Path) -> None:
        load_params(path)

    whole = (ROOT / "params.yaml").read_bytes()
    parts = tuple(whole[at : at + 900] for at in range(0, len(whole), 900))
    tokens = (
        b"&a ", b"*a", b"<<: ", b"!!int ", b"!!float ", b"!!binary ", b"!!python/name:os.system ", b"!!timestamp ",
        b"? ", b"- ", b": ", b"{", b"}", b"[", b"]", b"|", b">", b"%YAML 9.9\n", b"---\n", b"...", b"yes", b"~", b"#",
        b"2001-99-99", b"1:99:99", b".inf", b"0b", b"0x", b"\t", b"\0", b"'", b'"\\UFFFFFFFF"',
    )  # fmt: skip
    return Target(read, "params.yaml", (whole, *parts, b"a: &a [1]\nb: *a\n"), tokens, ("/leukosr/", "/yaml/"))


def _headers() -> Target:
    from leukosr.classify.weights import load_classifier
    from leukosr.engine.weights import read_tensors
    from leukosr.superres.weights import load_generator

    def read(path: Path) -> None:
        for load in (read_tensors, load_generator, load_classifier):
            try:
                load(path)
            except LeukoError as error:
                assert str(error)

    tokens = (
        b'"', b"{", b"}", b"[", b"]", b":", b",", b'"F32"', b'"BOOL"', b'"I64"', b'"shape"', b'"dtype"', b"\\u0000",
        b'"data_offsets"', b'"__metadata__"', b'"architecture"', b'"arguments"', b'"scale"', b'"classes"', b'"size"',
        b"\0" * 8, b'"ensemble"', b"srgan", b"real_esrgan", b"resnet50", b"1000000000", b"\\ud800",
    )  # fmt: skip
    return Target(read, "weights.safetensors", weight_files(), tokens)


def weight_files() -> tuple[bytes, ...]:
    """Small weight files: headers of a generator and of a classifier before a few tensors."""
    import safetensors.torch
    import torch

    few = {"entry.weight": torch.zeros(2, 3, 1, 1), "bias": torch.ones(2)}
    generator = {"architecture": "srgan", "scale": "4", "arguments": '{"features": 2, "blocks": 1}'}
    classifier = {"architecture": "resnet18", "classes": '["a", "b"]', "size": "[32, 32]"}
    return tuple(safetensors.torch.save(few, header) for header in (generator, classifier, {}))


TARGETS: dict[str, Callable[[], Target]] = {"tables": _tables, "yaml": _yaml, "headers": _headers}
