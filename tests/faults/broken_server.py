"""MLflow's own server, which can be told to break in the ways that servers, proxies and networks do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from werkzeug.serving import WSGIRequestHandler, make_server

JSON = b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n"
Fault = Callable[[threading.Event], Iterator[bytes]]


def dripping(head: bytes) -> Fault:
    """Some bytes of an answer, and then one every tenth of a second, without an end."""

    def fault(healed: threading.Event) -> Iterator[bytes]:
        yield head
        while not healed.wait(0.1):
            yield b" "

    return fault


def saying(answer: bytes) -> Fault:
    """One answer to everything."""
    return lambda healed: iter([answer])


FAULTS: dict[str, Fault] = {
    "drips its body": dripping(JSON + b"Content-Length: 100000\r\n\r\n{"),
    "drips its headers": dripping(JSON + b"X-Slow:"),
    "drips a body without a length": dripping(JSON + b"\r\n{"),
    "answers 500": saying(b"HTTP/1.0 500 Internal Server Error\r\nContent-Length: 2\r\n\r\n{}"),
    "answers 403": saying(b"HTTP/1.0 403 Forbidden\r\nContent-Length: 2\r\n\r\n{}"),
    "answers garbage": saying(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n<html"),
    "answers a page to log in": saying(
        b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<html>Sign in [bold]</html>"
    ),
    "answers JSON of another kind": saying(JSON + b"\r\n[1, 2]"),
    "answers half of what it promised": saying(JSON + b"Content-Length: 1000\r\n\r\n{}"),
    "speaks another protocol": saying(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "hangs up": saying(b""),
    "is silent": lambda healed: iter([b""] if healed.wait(600) else []),
}


class BrokenServer:
    """A server on `store` in a thread of this process; whole until `fault` is set."""

    def __init__(self, store: str, artifacts: Path) -> None:
        from mlflow.server import app, handlers

        self.fault: Fault | None = None
        self.healed = threading.Event()
        handlers._tracking_store = SqlAlchemyStore(store, artifacts.as_uri())  # type: ignore[assignment]
        outer = self

        class Handler(WSGIRequestHandler):
            def run_wsgi(self) -> None:
                if outer.fault is None:
                    super().run_wsgi()
                    return
                with suppress(OSError):  # the client has given up
                    for part in outer.fault(outer.healed):
                        self.wfile.write(part)

            def log_request(self, *facts: object) -> None:
                pass

        self._server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Handler)
        self.url = f"http://127.0.0.1:{self._server.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening, and let go whoever waits for an answer."""
        self.healed.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
