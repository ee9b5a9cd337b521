from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from leukosr.errors import LeukoError
from leukosr.evaluate.arms.pairs import Run, pair
from leukosr.evaluate.arms.predictions import Predictions, column_names, names_of, read_predictions

HEADER = "image,source,seed,true,predicted,p_a,p_b\n"
GOOD = HEADER + "x,s,1,a,a,0.9,0.1\ny,,1,b,a,0.6,0.4\nx,s,2,a,b,0.2,0.8\ny,,2,b,b,0.3,0.7\n"


def read(tmp_path: Path, content: str, name: str = "arm") -> Predictions:
    path = tmp_path / f"{name}.csv"
    path.write_text(content)
    return read_predictions(path, name)


def test_a_file_is_read_with_its_classes(tmp_path: Path) -> None:
    found = read(tmp_path, GOOD)
    assert found.classes == ("a", "b")
    assert list(found.table["seed"]) == [1, 1, 2, 2]


def test_a_folder_is_refused_with_the_tables_in_it(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text(GOOD)
    with pytest.raises(LeukoError, match=r"is a folder: name a CSV file in it, which has mine\.csv"):
        read_predictions(tmp_path, "arm")
    (tmp_path / "raw" / "paper").mkdir(parents=True)
    (tmp_path / "raw" / "paper" / "predictions.csv").write_text(GOOD)
    with pytest.raises(LeukoError, match=r"is a folder: name a table in it, e\.g\. .*raw.paper.predictions\.csv"):
        read_predictions(tmp_path, "arm")
    confusion = tmp_path / "plots" / "confusion"
    confusion.mkdir(parents=True)
    for name in ("raw", "bicubic"):
        (confusion / f"{name}.csv").write_text(GOOD)
    with pytest.raises(LeukoError, match=r"is a folder: name a CSV file in it, which has bicubic\.csv, raw\.csv"):
        read_predictions(confusion, "arm")
    with pytest.raises(LeukoError, match=r"is a folder: name a table in it, .*confusion.NAME\.csv \(bicubic, raw\)"):
        read_predictions(tmp_path, "arm")
    other = tmp_path / "comparison.csv"
    other.write_text("experiment,accuracy\nraw,0.5\n")
    with pytest.raises(LeukoError, match=r"comparison\.csv holds no predictions: name .*NAME\.csv \(bicubic, raw\)"):
        read_predictions(other, "arm")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty; it should be the predictions.csv of an arm"),
        (HEADER, "holds no predictions"),
        (
            "image,source,true,predicted\nx,s,a,a\n",
            "lacks the column seed .*; say what yours are called, e.g. --columns .*; a table of a single run",
        ),
        (
            "image,predicted,p_a,p_b,sure,warnings\nx,a,0.9,0.1,True,\n",
            "was written by `leukosr predict`, which does not know the true classes: add the columns true and seed, or",
        ),
        (HEADER + "x,s,one,a,a,1,0\n", "the seed 'one', line 2; seeds are whole numbers"),
        (HEADER + "x,s,1,a,a,1,0\nx,s,1,a,b,0,1\n", "image x twice for seed 1"),
        (HEADER + "x,s,1,a,a,1,0\nx,s,2,b,a,1,0\n", "image x more than one value of true; .*are the two swapped"),
        (HEADER + "x,s,1,a,a,1,0\nx,s,2,b,b,1,0\n", "image x more than one value of true$"),
        (HEADER + "x,s,1,a,a,1,0\nx,t,2,a,a,1,0\n", "image x more than one value of source"),
        (HEADER + "x,s,1,a,c,1,0\n", "the label 'c' but no column p_c"),
        (HEADER + f"x,s,{2**64},a,a,1,0\n", "the seed '18446744073709551616', line 2; seeds are .* of at most 64 bits"),
        (HEADER + f"x,s,{'9' * 5000},a,a,1,0\n", "the seed '9{60}…'"),
        (HEADER + "x,s,1,a,nan,1,0\n", "an empty cell in the column predicted, line 2"),
        (HEADER + "x,s,1,a,a,1,0,0\n", "line 2 has 8 cells, but 7 columns have names"),
        (HEADER.replace("p_b", "p_a"), "the column p_a 2 times"),
        ("image,source,seed,true,predicted\nx,s,1,a,a\ny,s,1,A,a\n", "writes one true label as 'A' and 'a'"),
        (
            "image,source,seed,true,predicted\nx,s,1,a,0\ny,s,1,b,1\n",
            "no predicted label occurs among the true ones, which are a, b; predicted are 0, 1",
        ),
        (HEADER + "x,s,1,a,,1,0\n", "an empty cell in the column predicted, line 2"),
    ],
)
def test_a_bad_file_is_refused_by_name(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(LeukoError, match=message) as error:
        read(tmp_path, content)
    assert "arm.csv" in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LeukoError, match=r"none\.csv does not exist"):
        read_predictions(tmp_path / "none.csv", "none")


PLAIN = "image,source,seed,true,predicted\nx,s,1,0,0\ny,t,1,1,0\n"


@pytest.mark.parametrize(
    ("content", "respelt"),
    [
        (PLAIN, False),
        (PLAIN.replace(",", ", "), False),
        (PLAIN.replace(",", ";"), False),
        (PLAIN.replace("0,0", "0,0.0").replace("1,0\n", "1,0.0\n"), True),
        (PLAIN.replace("s,1", "s,1.0").replace("t,1", "t,1.0"), False),
    ],
)
def test_one_table_in_any_form_says_the_same(tmp_path: Path, content: str, respelt: bool) -> None:
    found, expected = read(tmp_path, content), read(tmp_path, PLAIN)
    pd.testing.assert_frame_equal(found.table, expected.table, check_index_type=False)
    assert found.classes == expected.classes
    said = (f"{tmp_path / 'arm.csv'}: '0.0' is read as '0'",) if respelt else ()
    assert found.notes == said


def test_labels_are_spelt_as_the_columns_name_them(tmp_path: Path) -> None:
    found = read(tmp_path, HEADER + "x,s,1,A,a,1,0\ny,s,1,B,A ,1,0\n")
    assert (list(found.table["true"]), list(found.table["predicted"]), found.classes) == (
        ["a", "b"],
        ["a", "a"],
        ("a", "b"),
    )
    both = HEADER.replace("p_a,p_b", "p_a,p_A")
    assert read(tmp_path, both + "x,s,1,A,a,1,0\n").notes == ()  # two classes, as the file says


def test_seeds_of_64_bits_stay_apart(tmp_path: Path) -> None:
    one, other = 2**64 - 1, 2**64 - 2
    content = HEADER + f"x,s,{one},a,a,1,0\nx,s,{other},a,b,0,1\nx,s,-3,b,b,0,1\n".replace("-3,b", "-3,a")
    found = pair(read(tmp_path, content), read(tmp_path, content, "other"))
    assert found.runs == (Run(-3), Run(other), Run(one))
    assert found.first.hits.sum((1, 2)).tolist() == [0, 0, 1]


def test_tables_that_would_take_all_memory_are_refused(tmp_path: Path) -> None:
    rows = "".join(f"{i},{i},1,{i},{i}\n" for i in range(5000))
    arm = read(tmp_path, "image,source,seed,true,predicted\n" + rows)
    with pytest.raises(LeukoError, match="1 seeds, 5000 sources and 5000 classes, too many"):
        pair(arm, arm)


def test_counts_are_kept_by_run_source_and_class(tmp_path: Path) -> None:
    found = pair(read(tmp_path, GOOD), read(tmp_path, GOOD, "other"))
    assert (found.runs, found.sources, found.images, found.left_out) == (
        (Run(1), Run(2)),
        2,
        2,
        0,
    )  # y is a source of its own
    assert found.first.hits.tolist() == [[[0, 0], [1, 0]], [[0, 1], [0, 0]]]
    assert found.first.predicted.tolist() == [[[1, 0], [1, 0]], [[0, 1], [0, 1]]]
    assert np.array_equal(found.first.true.sum((0, 1)), [2, 2])
    assert found.strata.tolist() == [1, 0]


def test_only_what_both_have_is_compared(tmp_path: Path) -> None:
    images = "".join(GOOD.splitlines(True)[i] for i in (0, 1, 3))
    found = pair(read(tmp_path, GOOD), read(tmp_path, images, "other"))
    assert (found.runs, found.images, found.left_out) == ((Run(1), Run(2)), 1, 2)


def test_one_common_seed_of_several_makes_no_pairs(tmp_path: Path) -> None:
    found = pair(read(tmp_path, GOOD), read(tmp_path, "".join(GOOD.splitlines(True)[:3]), "other"))
    assert (found.paired, found.runs, found.other_runs, found.left_out) == (False, (Run(1), Run(2)), (Run(1),), 0)


def test_a_table_may_lack_sources_and_call_its_columns_otherwise(tmp_path: Path) -> None:
    found = read(tmp_path, GOOD)
    path = tmp_path / "other.csv"
    path.write_text("file,run,label,said,p_a,p_b\nx,1,a,a,1,0\ny,1,b,a,1,0\nx,2,a,b,0,1\ny,2,b,b,0,1\n")
    called = column_names(["true=label,image=file", "predicted=said,seed=run"])
    other = read_predictions(path, "other", called)
    columns = ["image", "seed", "true", "predicted"]
    pd.testing.assert_frame_equal(other.table[columns], found.table[columns], check_index_type=False)
    assert set(other.table["source"]) == {""}
    assert not pair(other, replace(other, name="again")).known


def test_columns_may_change_places_and_an_image_may_be_its_own_source(tmp_path: Path) -> None:
    found = read(tmp_path, GOOD)
    path = tmp_path / "swapped.csv"
    head, _, rows = GOOD.partition("\n")
    path.write_text(head.replace("true,predicted", "predicted,true") + "\n" + rows)
    swapped = read_predictions(path, "swapped", column_names(["true=predicted,predicted=true"]))
    pd.testing.assert_frame_equal(swapped.table, found.table)
    alone = read_predictions(tmp_path / "arm.csv", "alone", {"source": "image"})
    assert (alone.table["source"] == alone.table["image"]).all()
    with pytest.raises(LeukoError, match="takes true and predicted from one column, predicted: name a column of each"):
        read_predictions(path, "swapped", {"true": "predicted"})


@pytest.mark.parametrize("text", ["true", "label=true", "true=", "true=a,true=b"])
def test_columns_are_mapped_once_and_by_our_names(text: str) -> None:
    with pytest.raises(LeukoError, match="write OURS=YOURS once for each of image, seed, true"):
        column_names([text])


def test_sr_seeds_pair_with_each_other_or_with_every_run_of_an_arm_without(tmp_path: Path) -> None:
    header = HEADER.replace("seed,true", "seed,sr_seed,true")
    images = (("x", "s", "a"), ("y", "t", "b"))
    rows = [f"{image},{source},{seed},{sr},{label},a,1,0\n" for image, source, label in images
            for seed in (1, 2) for sr in (7, 8)]  # fmt: skip
    nested, plain = read(tmp_path, header + "".join(rows)), read(tmp_path, GOOD.replace("y,,", "y,t,"), "bicubic")
    expected = (Run(1, 7), Run(1, 8), Run(2, 7), Run(2, 8))
    for one, other in ((nested, replace(nested, name="again")), (nested, plain), (plain, nested)):
        found = pair(one, other)
        assert (found.runs, found.other_runs, found.networks, found.left_out) == (expected, expected, 2, 0)


def test_arms_of_one_classifier_seed_pair_by_the_networks_that_both_have(tmp_path: Path) -> None:
    header = HEADER.replace("seed,true", "seed,sr_seed,true")
    networks = [range(1, 7), range(7, 13), range(6, 12), range(2, 8)]
    arms = [
        read(tmp_path, header + "".join(f"x,s,1,{sr},a,a,1,0\ny,t,1,{sr},b,a,1,0\n" for sr in own), f"arm{place}")
        for place, own in enumerate(networks)
    ]
    for other, common in ((arms[1], 0), (arms[2], 0), (arms[3], 5)):
        found = pair(arms[0], other)
        assert (found.paired, len(found.runs), len(found.other_runs)) == (common > 1, common or 6, common or 6)
        assert found.left_out == (2 * 2 if common else 0)


def test_a_label_that_one_table_alone_predicts_is_a_class_of_both(tmp_path: Path) -> None:
    plain = "image,source,seed,true,predicted\n"
    one = read(tmp_path, plain + "x,s,1,a,a\ny,t,1,b,z\n")
    other = read(tmp_path, plain + "x,s,1,a,a\ny,t,1,b,b\n", "other")
    for found in (pair(one, other), pair(other, one)):
        assert found.first.true.shape[-1] == 3 and found.first.true.sum() == 2
    named = read(tmp_path, HEADER + "x,s,1,a,a,1,0\ny,t,1,b,b,0,1\n", "named")
    assert pair(named, other).first.true.shape[-1] == 2
    with pytest.raises(LeukoError, match="have different classes: a, b, z and a, b"):
        pair(one, named)


def test_sources_of_several_classes_are_one_sample(tmp_path: Path) -> None:
    patients = HEADER + "".join(f"i{n},p{n // 2},{seed},{'ab'[n % 2]},a,1,0\n" for n in range(8) for seed in (1, 2))
    arm = read(tmp_path, patients)
    assert pair(arm, replace(arm, name="again")).strata.tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (HEADER + "z,s,1,a,a,1,0\n", "no common images.* write them alike in both"),
        (HEADER + "x,s,1,b,a,1,0\n", "disagree about the label of image x"),
        (HEADER + "x,t,1,a,a,1,0\n", "disagree about the source of image x"),
        (HEADER.replace(",source", "") + "x,1,a,a,1,0\n", "arm names sources and other does not: add the column"),
        (HEADER.replace("p_b", "p_c") + "x,s,1,a,a,1,0\n", "different classes"),
    ],
)
def test_arms_that_do_not_fit_are_refused(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(LeukoError, match=message):
        pair(read(tmp_path, GOOD), read(tmp_path, content, "other"))


def test_one_run_each_needs_a_common_seed(tmp_path: Path) -> None:
    single = [read(tmp_path, HEADER + f"x,s,{seed},a,a,1,0\n", f"arm{seed}") for seed in (3, 4)]
    with pytest.raises(LeukoError, match="no common seeds"):
        pair(*single)


def test_names_tell_the_files_apart(tmp_path: Path) -> None:
    assert names_of([Path("raw.csv"), Path("b.csv")]) == ["raw", "b"]
    deep = [tmp_path / "classify" / arm / "paper" / "predictions.csv" for arm in ("raw", "bicubic")]
    assert names_of(deep) == ["raw", "bicubic"]
    with pytest.raises(LeukoError, match="not all different"):
        names_of([deep[0], deep[0]])
    shallow = tmp_path / "mine" / "predictions.csv"
    assert names_of([deep[0], shallow]) == ["classify/raw/paper", "mine"]
    assert names_of([tmp_path / "predictions.csv", shallow]) == ["predictions", "mine"]
    assert names_of([Path("c.tsv"), Path("c.csv")]) == ["c.tsv", "c.csv"]
    assert len(set(names_of([Path("/"), Path(".")]))) == 2


def test_runs_that_lack_images_are_told(tmp_path: Path) -> None:
    whole = "image,seed,true,predicted\n" + "".join(f"i{i},{seed},a,a\n" for seed in (1, 2) for i in range(4))
    (tmp_path / "whole.csv").write_text(whole)
    (tmp_path / "cut.csv").write_text(whole[: whole.index("i1,2")])
    assert not read_predictions(tmp_path / "whole.csv", "whole").uneven
    cut = read_predictions(tmp_path / "cut.csv", "cut")
    assert cut.uneven and "1 of 2 runs lack some of the 4 images (the shortest has 1)" in cut.notes[-1]


def test_sources_written_as_nan_are_not_known(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("image,source,seed,true,predicted\ni,nan,1,a,a\nj,s,1,b,b\n")
    assert read_predictions(tmp_path / "own.csv", "own").table["source"].tolist() == ["", "s"]


PARTS = "image,seed,true,predicted\n" + "".join(
    f"{name},{seed},{label},a\n"
    for seed in (1, 2)
    for name, label in (("a/lab1_[1]", "a"), ("b/lab1_2", "b"), ("a/lab2_1", "a"), ("b/lab2_2", "b"), ("c/lab3_1", "c"))
)


def test_a_part_of_the_images_is_chosen_by_their_names(tmp_path: Path) -> None:
    (path := tmp_path / "own.csv").write_text(PARTS)
    part = read_predictions(path, "own", images="*/lab1_*")
    assert part.table["image"].tolist() == ["a/lab1_[1]", "b/lab1_2"] * 2
    assert part.classes == ("a", "b", "c") and not part.uneven
    assert part.notes == (f"{path}: no image like '*/lab1_*' is of c; macro F1 is the mean over the others",)


@pytest.mark.parametrize(
    ("images", "added", "message"),
    [
        ("*_[12]", "", r"has no image like '\*_\[12\]'"),
        ("lab1", "", "has no image like 'lab1'; its first is a/lab1_"),
        ("a/*", "", "all images like 'a/\\*' in .* are of the class a, and macro F1 says nothing of one class alone"),
        ("*/lab1_*", "a/lab2_1,3,a,a\n", "has a run without any image like"),
    ],
)
def test_a_part_that_says_nothing_is_refused(tmp_path: Path, images: str, added: str, message: str) -> None:
    (path := tmp_path / "own.csv").write_text(PARTS + added)
    with pytest.raises(LeukoError, match=message):
        read_predictions(path, "own", images=images)


def test_images_of_a_part_that_some_run_lacks_are_told(tmp_path: Path) -> None:
    (path := tmp_path / "own.csv").write_text(PARTS + "a/lab1_9,1,a,a\n")
    assert read_predictions(path, "own", images="*/lab1_*").uneven
    assert not read_predictions(path, "own", images="*/lab2_*").uneven
