"""The page and its addresses: what they answer, what they refuse, and that nothing is left."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from starlette.testclient import TestClient
from tests.faults.hostile_images import hostile_images

from leukosr.app.address import NAMES, listen
from leukosr.app.given import Given, given_image
from leukosr.app.models import StudyModels
from leukosr.app.server import BYTES, KEPT, Limits, site
from leukosr.app.waiting import Abandoned, while_wanted
from leukosr.errors import LeukoError
from leukosr.images.reading import png_bytes, read_as_rgb, read_bytes

from .conftest import picture, picture_bytes

LIMITS = Limits(megabytes=1, pixels=50_000)
BINARY = {"content-type": BYTES}


@pytest.fixture
def client(models: StudyModels) -> Iterator[TestClient]:
    """A browser without its window; an error that no handler foresees fails the test."""
    with TestClient(site(models, LIMITS, NAMES), base_url="http://127.0.0.1:7860") as opened:
        yield opened


def sent(client: TestClient, content: bytes) -> str:
    answer = client.post("/images", content=content, headers=BINARY)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def refusal(client: TestClient, content: bytes) -> str:
    answer = client.post("/images", content=content, headers=BINARY)
    assert answer.status_code == 422
    return str(answer.json()["sentence"])


def test_the_page_asks_no_other_server_and_runs_its_own_scripts_alone(client: TestClient) -> None:
    page = client.get("/")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    scripts = re.search(r"script-src ([^;]*)", policy)
    assert scripts is not None and re.fullmatch(r"('sha256-[\w+/=]+' ?){2}", scripts[1])
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page.text) and "url(" not in page.text
    for word in ("Try an image", "1 MB", "50,000 pixels", 'value="pretrained/tiny"', "train_sr@real_esrgan"):
        assert word.lower() in page.text.lower()


def test_an_image_goes_from_the_drop_to_pictures_and_answers(client: TestClient) -> None:
    image = sent(client, picture_bytes())
    version = client.post(f"/images/{image}/version?name=srgan").json()
    assert version["size"] == "128×160" and [
        note["of"] for note in version["notes"] if "no ranges stored" in note["text"]
    ] == ["SRGAN"]
    shown = client.get(f"/{version['src']}")
    assert shown.headers["content-type"] == "image/png" and shown.headers["cache-control"] == "no-store"
    assert read_bytes(shown.content).shape == (128, 160, 3)
    raw = client.post(f"/images/{image}/version?name=raw").json()
    assert np.array_equal(read_bytes(client.get(f"/{raw['src']}").content), picture())
    answer = client.post(f"/images/{image}/answer?name=raw/paper").json()
    probabilities = [value for key, value in answer["row"].items() if key.startswith("p_")]
    assert sum(probabilities) == pytest.approx(1) and answer["row"]["sure"] in (True, False)
    assert answer["arm"] and client.get(f"/{answer['map']}").content.startswith(b"\x89PNG")


def test_what_an_arm_cannot_show_is_a_sentence(client: TestClient) -> None:
    image = sent(client, picture_bytes())
    answer = client.post(f"/images/{image}/version?name=ground_truth")
    assert (answer.status_code, "say that the image is one" in answer.json()["sentence"]) == (422, True)
    assert client.get(f"/images/{image}/picture?kind=version&name=ground_truth").status_code == 422


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_too_little_memory_is_a_sentence(error: Exception, client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(StudyModels, "version", fail)
    answer = client.post(f"/images/{sent(client, picture_bytes())}/version?name=srgan")
    assert (answer.status_code, answer.json()["sentence"]) == (422, "out of memory: give a smaller image")


def test_an_unforeseen_error_is_none(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(StudyModels, "version", fail)
    image = sent(client, picture_bytes())
    with pytest.raises(RuntimeError, match="unforeseen"):
        client.post(f"/images/{image}/version?name=srgan")


def test_an_image_that_is_too_small_for_the_classifiers_is_a_sentence(client: TestClient) -> None:
    answer = client.post(f"/images/{sent(client, picture_bytes(8, 8))}/answer?name=raw/paper")
    assert (answer.status_code, "give a larger one" in answer.json()["sentence"]) == (422, True)


@pytest.mark.filterwarnings("ignore::UserWarning")  # of Pillow, on metadata that promises too much
def test_hostile_files_are_refused_with_the_sentence_of_the_opener(client: TestClient, models: StudyModels) -> None:
    refused = 0
    for hostile in hostile_images():
        if len(hostile.content) > LIMITS.megabytes * 10**6:
            assert "more than the 1 MB" in refusal(client, hostile.content)
            continue
        try:
            given_image(models.params, hostile.content, original=False, most_pixels=LIMITS.pixels)
        except LeukoError as error:
            assert refusal(client, hostile.content) == str(error), hostile.name
            assert str(error).startswith("the image ") and "\n" not in str(error) and "/tmp" not in str(error)
            refused += 1
        else:
            assert sent(client, hostile.content)
    assert refused > 20


@pytest.mark.parametrize("name", ["cell.jpg", "cell.PNG", "cell.webp", "cell"])
def test_a_file_is_refused_in_the_words_of_enhance(name: str, client: TestClient, tmp_path: Path) -> None:
    for content in (b"no image", b"BM no image"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(LeukoError) as refused:
            read_as_rgb(tmp_path / name)
        answer = client.post("/images", params={"file": name}, content=content, headers=BINARY)
        assert answer.json()["sentence"] == str(refused.value).replace(str(tmp_path / name), "the image")


def test_images_are_decoded_one_at_a_time(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    decoding, most, image = 0, 0, given_image

    def slowly(*arguments: Any) -> Given:
        nonlocal decoding, most
        decoding += 1
        most = max(most, decoding)
        time.sleep(0.05)
        decoding -= 1
        return image(*arguments)

    monkeypatch.setattr("leukosr.app.server.given_image", slowly)
    with ThreadPoolExecutor(4) as users:
        list(users.map(sent, [client] * 4, [picture_bytes()] * 4))
    assert most == 1


def test_how_long_networks_take_is_said_for_large_images(client: TestClient) -> None:
    image = sent(client, picture_bytes(160, 160))
    said = client.post(f"/images/{image}/seconds?name=raw&name=srgan&name=srgan/paper&name=other").json()
    assert said["raw"] == 0 < said["srgan"] < 60 and set(said) == {"raw", "srgan"}
    client.post(f"/images/{image}/version?name=srgan")
    assert client.post(f"/images/{image}/seconds?name=srgan").json() == {"srgan": 0}


def test_work_ends_at_the_next_layer_once_nobody_wants_it() -> None:
    gone, reached = threading.Event(), []

    def last(*_: object) -> None:
        reached.append(1)
        gone.set()

    network = torch.nn.Sequential(torch.nn.Identity(), torch.nn.Identity())
    network[0].register_forward_hook(last)
    with pytest.raises(Abandoned), while_wanted(gone):
        network(torch.zeros(1))
    assert reached == [1]
    network(torch.zeros(1))
    with pytest.raises(Abandoned), while_wanted(gone):
        reached.append(2)
    assert reached == [1, 1]


@pytest.mark.parametrize("why", ["the page was closed", "the app ends"])
def test_work_that_nobody_waits_for_any_more_ends(
    why: str, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer, began = torch.nn.Identity(), threading.Event()

    def endless(*_: object) -> None:
        began.set()
        while True:
            layer(torch.zeros(1))
            time.sleep(0.01)

    monkeypatch.setattr(StudyModels, "version", endless)
    image, answers = sent(client, picture_bytes()), list[Any]()

    async def message() -> dict[str, str]:
        while not began.is_set():
            await asyncio.sleep(0.01)
        if why == "the app ends":
            client.app.state.ending.set()  # type: ignore[attr-defined]
            await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    async def answer(message: Any) -> None:
        answers.append(message)

    scope = {
        "type": "http", "method": "POST", "path": f"/images/{image}/version", "query_string": b"name=raw",
        "headers": [(b"host", b"localhost")],
    }  # fmt: skip
    asyncio.run(asyncio.wait_for(client.app(scope, message, answer), 20))  # type: ignore[arg-type, call-arg]
    assert answers[0]["status"] == 503 and json.loads(answers[1]["body"]) == {"sentence": "leukosr app was stopped"}
    monkeypatch.undo()
    client.app.state.ending.clear()  # type: ignore[attr-defined]
    assert client.post(f"/images/{image}/version?name=raw").json()["size"] == "32×40"


def test_a_page_that_goes_away_while_it_sends_an_image_is_no_error(client: TestClient) -> None:
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": picture_bytes()[:100], "more_body": True}, {"type": "http.disconnect"}
    ]  # fmt: skip
    answers = list[Any]()

    async def message() -> dict[str, Any]:
        return messages.pop(0)

    async def answer(message: Any) -> None:
        answers.append(message)

    headers = [(b"host", b"localhost"), (b"content-type", BYTES.encode())]
    scope = {"type": "http", "method": "POST", "path": "/images", "query_string": b"", "headers": headers}
    asyncio.run(client.app(scope, message, answer))  # type: ignore[arg-type, call-arg]
    assert answers[0]["status"] == 400


def test_too_many_bytes_and_too_many_pixels_are_refused(client: TestClient) -> None:
    assert refusal(client, bytes(1_000_001)) == "the image has more than the 1 MB that are taken here"
    large = png_bytes(np.zeros((250, 201, 3), np.uint8))
    assert refusal(client, large) == "the image has 250x201 pixels, more than the 50,000 that are taken here"


def test_other_names_and_forms_of_other_sites_are_refused(client: TestClient, models: StudyModels) -> None:
    assert client.get("/", headers={"host": "evil.example"}).status_code == 400
    for name in ("127.0.0.1", "localhost:7860", "[::1]:7860"):
        assert client.get("/", headers={"host": name}).status_code == 200
    form = client.post("/images", content=picture_bytes(), headers={"content-type": "text/plain"})
    assert form.status_code == 422 and "by the page itself" in form.json()["sentence"]
    with TestClient(site(models, LIMITS, ["*"]), base_url="http://lab.example") as open_to_all:
        assert open_to_all.get("/").status_code == 200


def test_only_the_last_images_are_kept(client: TestClient) -> None:
    first, *others = [sent(client, picture_bytes()) for _ in range(KEPT + 1)]
    assert "drop it again" in client.post(f"/images/{first}/version?name=raw").json()["sentence"]
    assert all(client.post(f"/images/{each}/version?name=raw").status_code == 200 for each in others)


def test_no_file_is_left(client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    image = sent(client, picture_bytes())
    client.post(f"/images/{image}/version?name=bicubic")
    refusal(client, b"\x89PNG\r\n\x1a\n broken")
    assert not list(tmp_path.iterdir())


def test_a_port_that_is_taken_is_said() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            LeukoError, match=rf"cannot listen on 127.0.0.1, port {port} \(.*\): name another with --port"
        ):
            listen("127.0.0.1", port)


def test_an_address_that_is_not_of_this_machine_is_said() -> None:
    with pytest.raises(LeukoError, match=r"cannot listen on 192\.0\.2\.1, port 0 \(.*\): name another with --host"):
        listen("192.0.2.1", 0)


def test_a_name_that_no_machine_can_have_is_no_address() -> None:
    with pytest.raises(LeukoError, match=r"cannot listen on ü+, which is no address: name another with --host"):
        listen(70 * "ü", 0)


def test_an_address_of_ipv6_is_listened_on() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with listen("::1", 0) as listening:
        assert listening.getsockname()[0] == "::1"
