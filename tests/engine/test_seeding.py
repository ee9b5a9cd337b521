from __future__ import annotations

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from leukosr.engine.seeding import StreamRoots, stream_rng, stream_seed

STREAMS = ["split", "degrade", "sr_init", "init", "order", "augment"]


def test_seeds_stay_what_they_are() -> None:
    # published numbers depend on them: a change here changes every study
    assert stream_seed(0, "split") == 3769940940748469125
    assert stream_seed(1, "order", "srgan", 3) == 39457596897906901


def test_a_seed_is_the_same_in_another_process() -> None:
    code = "from leukosr.engine.seeding import stream_seed; print(stream_seed(7, 'augment', 'srgan', 12))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(result.stdout) == stream_seed(7, "augment", "srgan", 12)


@given(st.integers(0, 2**40), st.sampled_from(STREAMS), st.lists(st.integers() | st.text()))
def test_a_seed_fits_into_what_numpy_and_torch_take(root: int, stream: str, parts: list[int | str]) -> None:
    assert 0 <= stream_seed(root, stream, *parts) < 2**63  # type: ignore[arg-type]


def test_roots_streams_and_parts_give_different_seeds() -> None:
    drawn = [stream_seed(root, stream, part) for root in range(20) for stream in STREAMS for part in range(20)]  # type: ignore[arg-type]
    assert len(set(drawn)) == len(drawn)


def test_the_order_of_parts_matters() -> None:
    assert stream_seed(0, "order", 1, 2) != stream_seed(0, "order", 2, 1)
    assert stream_seed(0, "order", 12) != stream_seed(0, "order", 1, 2)


def test_only_the_streams_that_have_a_root_of_their_own_are_varied_apart() -> None:
    roots = StreamRoots(7, {"init": 3})
    assert stream_seed(roots, "init", "a") == stream_seed(3, "init", "a")
    assert stream_seed(roots, "order", "a") == stream_seed(7, "order", "a")


def test_streams_are_independent_generators() -> None:
    first, again = stream_rng(3, "init", "a"), stream_rng(3, "init", "a")
    other = stream_rng(3, "order", "a")
    drawn = first.random(4).tolist()
    assert drawn == again.random(4).tolist()
    assert drawn != other.random(4).tolist()
