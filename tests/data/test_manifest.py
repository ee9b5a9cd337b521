from __future__ import annotations

import csv
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from leukosr.config import Params
from leukosr.data.catalogue import Checked, Rejected, SetFile
from leukosr.data.manifest import (
    COLUMNS,
    Item,
    Row,
    compared_rows,
    make_rows,
    read_manifest,
    seen_by_classifiers,
    used_rows,
    with_role,
    write_manifest,
    write_rejected,
)
from leukosr.data.mask_files import masks_of
from leukosr.data.separation import check_disjoint, refuse_trained_tests
from leukosr.errors import LeukoError

ITEMS = [
    Item("TEST/b/2", "TEST/b/2.jpg", "b", "", width=320, height=240),
    Item("TEST/a/1", "TEST/a/1.jpg", "a", "smear 7", width=321, height=241),
    Item("TRAIN/a/1", "TRAIN/a/1.jpg", "a", "smear 8", width=320, height=240),
]
PAPER = {"TEST/a/1": "classifier_train", "TEST/b/2": "classifier_test", "TRAIN/a/1": "sr_train"}


def rows() -> list[Row]:
    return make_rows(ITEMS, {"paper": PAPER, "source_disjoint": {"TEST/a/1": "classifier_test"}})


def test_rows_join_images_and_roles_in_the_order_of_the_ids() -> None:
    assert rows() == [
        Row(
            "TEST/a/1",
            "TEST/a/1.jpg",
            "a",
            "smear 7",
            321,
            241,
            {"paper": "classifier_train", "source_disjoint": "classifier_test"},
        ),
        Row("TEST/b/2", "TEST/b/2.jpg", "b", "", 320, 240, {"paper": "classifier_test"}),
        Row("TRAIN/a/1", "TRAIN/a/1.jpg", "a", "smear 8", 320, 240, {"paper": "sr_train"}),
    ]


def test_an_image_that_a_protocol_does_not_name_has_no_role_there() -> None:
    assert [row.role("source_disjoint") for row in rows()] == ["classifier_test", "", ""]


def test_an_image_that_sr_and_classifiers_train_on_plays_both_roles() -> None:
    row = Row("a", "a.png", "a", "", 9, 9, {"official": "sr_train+classifier_train"})
    assert row.plays("official", "sr_train") and row.plays("official", "classifier_train")
    assert not row.plays("official", "sr_val") and not row.plays("paper", "sr_train")
    assert with_role([row], "official", "classifier_train") == seen_by_classifiers([row], ["official"]) == [row]


def test_the_files_have_the_documented_columns(tmp_path: Path) -> None:
    write_manifest(tmp_path / "manifest.csv", rows())
    lines = (tmp_path / "manifest.csv").read_bytes().decode().split("\n")
    assert lines[0] == "id,path,class,source,width,height" == ",".join(COLUMNS)
    assert lines[1] == "TEST/a/1,TEST/a/1.jpg,a,smear 7,321,241"
    assert lines[4:] == [""]
    assert (tmp_path / "roles.csv").read_text().splitlines() == [
        "image,protocol,role",
        "TEST/a/1,paper,classifier_train",
        "TEST/a/1,source_disjoint,classifier_test",
        "TEST/b/2,paper,classifier_test",
        "TRAIN/a/1,paper,sr_train",
    ]


def test_a_manifest_of_the_first_edition_says_the_roles_itself(tmp_path: Path) -> None:
    wide = [
        "id,path,class,source,width,height,role_paper,role_source_disjoint",
        "TEST/a/1,TEST/a/1.jpg,a,smear 7,321,241,classifier_train,classifier_test",
        "TEST/b/2,TEST/b/2.jpg,b,,320,240,classifier_test,",
        "TRAIN/a/1,TRAIN/a/1.jpg,a,smear 8,320,240,sr_train,",
    ]
    (tmp_path / "manifest.csv").write_text("\n".join(wide) + "\n")
    assert read_manifest(tmp_path / "manifest.csv") == rows()


def test_rows_come_back_as_they_were_written_and_are_no_formulas(tmp_path: Path) -> None:
    odd = Row('a,"b"/é 1', 'a,"b"/é 1.png', "a\nb", "NA", 1, 2, {"paper": "unused"})
    formulas = [
        Row(
            f"{sign}cmd|'/C calc'!A{n}",
            f"{sign}1.png",
            f"{sign}a",
            f" '{sign}",
            1,
            2,
            {"paper": "unused", "b": "fold_3"},
        )
        for n, sign in enumerate(("=", "+", "-", "@", "\t", "\r", "'=", "''@", "'"))
    ]
    write_manifest(tmp_path / "deep" / "manifest.csv", [*rows(), odd, *formulas])
    assert read_manifest(tmp_path / "deep" / "manifest.csv") == [*rows(), odd, *formulas]
    cells = []
    for name in ("manifest.csv", "roles.csv"):
        with (tmp_path / "deep" / name).open(newline="") as file:
            cells += [cell for row in csv.reader(file) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


def test_rows_are_chosen_by_their_role_under_a_protocol() -> None:
    chosen = with_role(rows(), "paper", "classifier_test", "sr_train")
    assert [row.id for row in chosen] == ["TEST/b/2", "TRAIN/a/1"]
    assert [row.id for row in with_role(rows(), "source_disjoint", "classifier_test")] == ["TEST/a/1"]
    assert with_role(rows(), "paper", "reference") == []


def test_classifiers_see_the_images_of_every_protocol() -> None:
    assert [row.id for row in seen_by_classifiers(rows(), ["source_disjoint"])] == ["TEST/a/1"]
    assert [row.id for row in seen_by_classifiers(rows(), ["paper", "source_disjoint"])] == ["TEST/a/1", "TEST/b/2"]


def test_sr_of_both_protocols_uses_the_disjoint_part(compose_params: Callable[..., Params]) -> None:
    study = compose_params("study.protocol=both").study
    assert (study.protocols, study.sr_protocol) == (("paper", "source_disjoint"), "source_disjoint")
    assert [row.id for row in used_rows(rows(), study)] == ["TEST/a/1", "TEST/b/2"]
    plain = compose_params("study.protocol=paper").study
    assert [row.id for row in used_rows(rows(), plain)] == ["TEST/a/1", "TEST/b/2", "TRAIN/a/1"]


def played(*parts: tuple[str, str]) -> list[Row]:
    """Images with a source and a role under source_disjoint."""
    return [
        Row(f"i{n}", f"i{n}.jpg", "a", source, 9, 9, {"source_disjoint": role})
        for n, (source, role) in enumerate(parts)
    ]


def test_a_disjoint_manifest_passes() -> None:
    check_disjoint(
        played(
            ("x", "sr_train"),
            ("x", "sr_val"),
            ("y", "classifier_train"),
            ("z", "classifier_test"),
            ("z", "unused"),
            ("y", "reference"),
        ),
        "source_disjoint",
    )
    alike = [("x", "sr_train+classifier_train"), ("x", "classifier_train"), ("x", "sr_train"), ("y", "classifier_test")]
    check_disjoint(played(*alike, ("z", "sr_val+classifier_val")), "source_disjoint")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([("x", "classifier_train"), ("x", "classifier_test")], "source x is used as classifier_train and, by i1"),
        ([("x", "sr_val"), ("x", "classifier_test")], "source x is used as SR training"),
        ([("x", "classifier_val"), ("", "classifier_test")], "i1 is used as classifier_test but has no source"),
        ([("x", "sr_train+classifier_train"), ("x", "classifier_test")], "source x is used as SR training and, by i1"),
        ([("x", "sr_train+classifier_train"), ("x", "sr_val+classifier_val")], "x is used as SR training and, by i1"),
        ([("x", "sr_train"), ("x", "sr_test")], "source x is used as SR training and, by i1, as sr_test"),
        ([("x", "unused")], "gives no image a role under source_disjoint"),
    ],
)
def test_a_manifest_that_is_not_disjoint_is_refused(parts: list[tuple[str, str]], message: str) -> None:
    with pytest.raises(LeukoError, match=message):
        check_disjoint(played(*parts), "source_disjoint")


def test_a_missing_manifest_comes_with_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(LeukoError, match=r"manifest\.csv does not exist: run `dvc repro prepare`"):
        read_manifest(tmp_path / "manifest.csv")


@pytest.mark.parametrize(
    "content",
    ["", "id,path\n", "id,path,label,source,width,height,role_paper,x\n", "id,path,class,source,width,height,x\n"],
)
def test_a_manifest_with_other_columns_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.csv").write_text(content)
    with pytest.raises(LeukoError, match=r"has the columns .*, expected id, path, class, .*: run `dvc repro prepare`"):
        read_manifest(tmp_path / "manifest.csv")


@pytest.mark.parametrize(
    "row",
    [
        "a/1,a/1.png",
        "a/1,a/1.png,a,,wide,3,unused,",
        f"a/1,a/1.png,a,,{'9' * 5000},3,unused,",
        f"a/1,a/1.png,{'a' * 200_000},,9,9,unused,",
        'a/1,a/1.png,"a,,9,9,unused,',
        "a/1,a/1.png,a,,9,9,unused,\na/1,a/2.png,a,,9,9,unused,",
        "a/1,a/1.png,a,,9,9,fold_x,",
        "a/1,a/1.png,a,,9,9,unused,tests",
        "a/1,/etc/passwd,a,,9,9,unused,",
        "a/1,../1.png,a,,9,9,unused,",
        "../../a/1,a/1.png,a,,9,9,unused,",
        "C:\\a\\1,a/1.png,a,,9,9,unused,",
        "a/1,b\\..\\..\\1.png,a,,9,9,unused,",
        "a/1,,a,,9,9,unused,",
        ".,a/1.png,a,,9,9,unused,",
        "a/\x001,a/1.png,a,,9,9,unused,",
    ],
)
def test_a_damaged_manifest_is_refused(tmp_path: Path, row: str) -> None:
    header = (*COLUMNS, "role_paper", "role_source_disjoint")
    (tmp_path / "manifest.csv").write_text(",".join(header) + f"\n{row}\n")
    with pytest.raises(LeukoError, match=r"manifest\.csv .*: run `dvc repro prepare`"):
        read_manifest(tmp_path / "manifest.csv")


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        (None, "roles.csv does not exist"),
        ("image,role\n", "has the columns image, role, expected image, protocol, role"),
        ("image,protocol,role\na/1,paper,tests\n", "unknown role 'tests'"),
        ("image,protocol,role\na/1,paper,sr_train+tests\n", "unknown role 'tests'"),
        ("image,protocol,role\na/1,paper,unused\na/1,paper,sr_val\n", "gives a/1 two roles under paper"),
        ("image,protocol,role\nb/1,paper,unused\n", "gives a role to b/1, which"),
        ("image,protocol,role\na/1,paper\n", "is damaged"),
    ],
)
def test_damaged_roles_are_refused(tmp_path: Path, roles: str | None, message: str) -> None:
    (tmp_path / "manifest.csv").write_text(",".join(COLUMNS) + "\na/1,a/1.png,a,,9,9\n")
    if roles is not None:
        (tmp_path / "roles.csv").write_text(roles)
    with pytest.raises(LeukoError, match=rf"{re.escape(message)}.*: run `dvc repro prepare`"):
        read_manifest(tmp_path / "manifest.csv")


def test_sr_is_not_trained_on_images_that_another_protocol_tests(compose_params: Callable[..., Params]) -> None:
    study = compose_params("study.protocol=[validation_of_train,random_80_10_10]").study
    row = Row("a", "a.png", "a", "", 9, 9, {"validation_of_train": "sr_train+classifier_train"})
    refuse_trained_tests([row], study)
    tested = replace(row, roles={**row.roles, "random_80_10_10": "classifier_test"})
    with pytest.raises(LeukoError, match="SR would train on 1 image under validation_of_train, tested under r"):
        refuse_trained_tests([tested], study)
    assert compared_rows([tested], study) == []


def test_rejected_files_are_written_with_their_reasons(tmp_path: Path) -> None:
    path = tmp_path / "rejected.csv"
    write_rejected(path, [Rejected("a/1.jpg", "is a duplicate of b/1.jpg, x (same bytes)")])
    with path.open(newline="") as file:
        assert list(csv.reader(file)) == [["path", "reason"], ["a/1.jpg", "is a duplicate of b/1.jpg, x (same bytes)"]]
    write_rejected(path, [])
    assert path.read_text() == "path,reason\n"


def test_masks_have_a_column_where_there_are_any(tmp_path: Path) -> None:
    without = Row("a", "a.png", "a", "", 9, 9, {"paper": "unused"})
    masked = Row("b", "b.png", "a", "", 9, 9, {"paper": "unused"}, mask="masks/b.png")
    for rows, last in (([without], "height"), ([without, masked], "mask")):
        write_manifest(tmp_path / "manifest.csv", rows)
        assert (tmp_path / "manifest.csv").read_text().splitlines()[0].endswith(f",{last}")
        assert read_manifest(tmp_path / "manifest.csv") == rows
    write_manifest(tmp_path / "manifest.csv", [replace(masked, mask="../b.png")])
    with pytest.raises(LeukoError, match=r"'\.\./b\.png': not a path below its folder"):
        read_manifest(tmp_path / "manifest.csv")


def test_the_mask_of_an_image_has_its_path_below_masks(tmp_path: Path) -> None:
    images = [Checked(SetFile(f"{each}.jpg", "a", "all"), 9, 9) for each in ("TRAIN/a/1.0", "TRAIN/a/2")]
    (tmp_path / "masks/TRAIN/a").mkdir(parents=True)
    (tmp_path / "masks/TRAIN/a/1.0.png").touch()
    assert masks_of(tmp_path, images) == {"TRAIN/a/1.0": "masks/TRAIN/a/1.0.png"}
