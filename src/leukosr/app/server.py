"""The page and what it asks for: one image at a time, in memory, for people on this machine."""

from __future__ import annotations

import asyncio
import secrets
import socket
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar
from urllib.parse import quote

import torch
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from leukosr.app.given import Given, given_image
from leukosr.app.models import StudyModels
from leukosr.app.waiting import Abandoned, while_wanted
from leukosr.engine.image_size import OUT_OF_MEMORY, said_of_size
from leukosr.errors import LeukoError
from leukosr.images.decoding import SUFFIXES
from leukosr.images.reading import png_bytes
from leukosr.report.style import budget_note
from leukosr.report.template import page_script, read_script, template

FOLDER = Path(__file__).parent
KEPT = 3  # images, with all that was made of them
LOOK_EVERY = 0.5  # seconds: whether the page that waits is still there
BYTES = "application/octet-stream"  # no form of another site can send it without being asked first

Result = TypeVar("Result")


@dataclass(frozen=True)
class Limits:
    """What an uploaded file may have: megabytes and, at low resolution, pixels."""

    megabytes: int
    pixels: int


def site(models: StudyModels, limits: Limits, hosts: Sequence[str]) -> Starlette:
    """The application. `hosts`: the names in addresses that it answers to, so that no other name can be led here.

    What it computes is given up once its `state.ending` is set.
    """
    ending = threading.Event()
    handlers = _Handlers(models, limits, ending)
    routes = [
        Route("/", handlers.page),
        Route("/images", handlers.take, methods=["POST"]),
        Route("/images/{id}/seconds", handlers.seconds, methods=["POST"]),
        Route("/images/{id}/version", handlers.version, methods=["POST"]),
        Route("/images/{id}/answer", handlers.answer, methods=["POST"]),
        Route("/images/{id}/picture", handlers.picture),
    ]
    application = Starlette(
        routes=routes,
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)],
        exception_handlers={
            LeukoError: _refusal,
            MemoryError: _refusal,
            RuntimeError: _refusal,
            Abandoned: _ended,
            ClientDisconnect: _gone,
        },
    )
    application.state.ending = ending
    return application


def _ended(*_: object) -> Response:
    """The answer to work that was given up; a page that is still there shows the sentence."""
    return JSONResponse({"sentence": "leukosr app was stopped"}, status_code=503)


def _gone(*_: object) -> Response:
    """What a page that went away while it sent an image would be answered; nobody receives it."""
    return Response(status_code=400)


def serve(application: Starlette, listening: socket.socket) -> None:
    """Answer until Ctrl-C; what is being computed then is given up."""
    settings = uvicorn.Config(
        application, log_level="warning", access_log=False, server_header=False, lifespan="off", ws="none",
        timeout_graceful_shutdown=2,
    )  # fmt: skip
    with suppress(KeyboardInterrupt):  # as uvicorn ends, after its own shutdown
        _Server(settings, application.state.ending).run(sockets=[listening])


class _Server(uvicorn.Server):
    """A server that says at once that it was asked to end; by itself it would wait for the answers under way."""

    def __init__(self, settings: uvicorn.Config, ending: threading.Event) -> None:
        super().__init__(settings)
        self._ending = ending

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called for the signals that end it."""
        self._ending.set()
        super().handle_exit(sig, frame)


def _refusal(_: Request, error: Exception) -> JSONResponse:
    """What the user can mend, in a sentence; any other error is raised again."""
    if isinstance(error, LeukoError):
        sentence = str(error)
    elif isinstance(error, MemoryError | torch.OutOfMemoryError):
        sentence = OUT_OF_MEMORY
    else:
        of_size = said_of_size(error)
        if of_size is None:
            raise error
        sentence = of_size
    return JSONResponse({"sentence": sentence}, status_code=422)


class _Handlers:
    """One method for each address."""

    def __init__(self, models: StudyModels, limits: Limits, ending: threading.Event) -> None:
        self._models, self._limits, self._ending = models, limits, ending
        self._kept: OrderedDict[str, Given] = OrderedDict()
        self._computing = threading.Lock()  # one image at a time

    def page(self, _: Request) -> HTMLResponse:
        """The page, with its two scripts in it."""
        scripts = [page_script(), read_script(FOLDER / "app.js")]
        shown = template("app.html.j2", FOLDER).render(
            params=self._models.params, budget=budget_note(self._models.params.budget), models=self._models,
            limits=self._limits, scripts=scripts, suffixes=sorted(SUFFIXES),
        )  # fmt: skip
        policy = (
            f"default-src 'none'; img-src 'self' data:; connect-src 'self'; style-src 'unsafe-inline'; script-src "
            f"{' '.join(each.source for each in scripts)}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        return HTMLResponse(shown, headers={"Content-Security-Policy": policy, "Referrer-Policy": "no-referrer"})

    async def take(self, request: Request) -> JSONResponse:
        """Take an image: its id, and width over height; `file` is its name."""
        if request.headers.get("content-type") != BYTES:
            raise LeukoError(f"an image is sent as {BYTES}, by the page itself")
        content, most = bytearray(), self._limits.megabytes * 10**6
        async for part in request.stream():
            content += part
            if len(content) > most:
                raise LeukoError(f"the image has more than the {self._limits.megabytes} MB that are taken here")
        original = request.query_params.get("original") == "true"
        file = request.query_params.get("file")
        given = await self._in_turn(
            request, lambda: given_image(self._models.params, bytes(content), original, self._limits.pixels, file)
        )
        name = secrets.token_urlsafe(16)
        self._kept[name] = given
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        height, width = given.low.shape[:2]
        return JSONResponse({"id": name, "ratio": width / height, "size": f"{height}×{width}"})

    async def seconds(self, request: Request) -> JSONResponse:
        """About how long networks take for the arms and experiments of these names, in seconds by name."""
        given, names = self._given(request), request.query_params.getlist("name")
        return JSONResponse(await self._in_turn(request, lambda: self._models.seconds(given, names)))

    async def version(self, request: Request) -> JSONResponse:
        """Make the image of an arm: where its picture is, its size, and what it is worth."""
        given, name = self._given(request), request.query_params.get("name", "")
        made = await self._in_turn(request, lambda: self._models.version(given, name))
        height, width = made.image.shape[:2]
        said = {"src": _picture(request, "version", name), "size": f"{height}×{width}"}
        return JSONResponse({**said, "notes": [asdict(note) for note in made.notes], "unlike": made.unlike})

    async def answer(self, request: Request) -> JSONResponse:
        """Ask the classifiers of an experiment: the cells of a row of `leukosr predict`, and the Grad-CAM."""
        given, name = self._given(request), request.query_params.get("name", "")
        answer = await self._in_turn(request, lambda: self._models.answer(given, name))
        drawn: dict[str, Any] = {"map": None if answer.no_map else _picture(request, "map", name)}
        return JSONResponse({**asdict(answer), **drawn})

    def picture(self, request: Request) -> Response:
        """A PNG of what was made: the image of an arm, or a Grad-CAM overlay."""
        given, name = self._given(request), request.query_params.get("name", "")
        found = given.maps.get(name) if request.query_params.get("kind") == "map" else None
        if found is None and name in given.versions:
            found = given.versions[name].image
        if found is None:
            raise LeukoError(f"'{name}' has not been made of this image: drop it again")
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        return Response(png_bytes(found), media_type="image/png", headers=headers)

    async def _in_turn(self, request: Request, work: Callable[[], Result]) -> Result:
        """What `work` gives, one at a time. It is given up where the page that asked has gone, or the app ends."""
        gone = threading.Event()

        async def look() -> None:
            while not (self._ending.is_set() or await request.is_disconnected()):
                await asyncio.sleep(LOOK_EVERY)
            gone.set()

        def compute() -> Result:
            with self._computing, while_wanted(gone):
                return work()

        looking = asyncio.create_task(look())
        try:
            return await run_in_threadpool(compute)
        finally:
            looking.cancel()
            gone.set()

    def _given(self, request: Request) -> Given:
        given = self._kept.get(request.path_params["id"])
        if given is None:
            raise LeukoError(f"only the last {KEPT} images are kept, and this is none of them: drop it again")
        return given


def _picture(request: Request, kind: str, name: str) -> str:
    return f"images/{request.path_params['id']}/picture?kind={kind}&name={quote(name, safe='')}"
