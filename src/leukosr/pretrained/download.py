"""Bringing the files of published weights to this machine; what a download brings is checked by its SHA-256."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from leukosr.engine.progress import progress
from leukosr.errors import LeukoError
from leukosr.files import explained_os_errors
from leukosr.pretrained.catalogue import FromIndex, FromUrl, Source
from leukosr.quoting import short

CHUNK = 1 << 20
PATIENCE = 60  # seconds without an answer


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def download(source: Source, folder: Path) -> Path:
    """The file of a source, in `folder`; one that is there already, whole, is not downloaded again.

    Raises LeukoError where it cannot be had, and for a cut or forged one. What a cut download left is continued by the
    next one, as far as pip or the server can.
    """
    path = folder / source.file
    with explained_os_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if not (path.is_file() and sha256_of(path).startswith(source.sha256)):
        if isinstance(source, FromIndex):
            _from_index(source, folder)
        else:
            _from_url(source, path)
    found = sha256_of(path)
    if not found.startswith(source.sha256):
        path.unlink()
        raise LeukoError(
            f"{source.file} from {source.place} is cut or forged: its SHA-256 is {found}, expected {source.sha256}; it "
            "was removed, run the command again"
        )
    return path


def _from_index(source: FromIndex, folder: Path) -> None:
    """By pip, so that the user's own index, mirror, proxy and certificates are used."""
    # the same wheel on every machine; nothing of it is installed or run
    target = ["--python-version", source.python, "--implementation", "cp"] if source.python else []
    target += ["--platform", source.platform] if source.platform else []
    command = [
        *_pip(),
        "download",
        "--no-deps",
        "--only-binary",
        ":all:",
        *target,
        "--dest",
        str(folder),
        f"{source.package}=={source.version}",
    ]
    print(f"downloading {source.place} by pip", file=sys.stderr)
    shown = sys.stderr if sys.stderr.isatty() else subprocess.DEVNULL  # pip's own progress bar
    done = subprocess.run(
        command, stdout=shown, stderr=subprocess.PIPE, text=True, errors="backslashreplace", check=False
    )
    if done.returncode or not (folder / source.file).is_file():
        raise LeukoError(f"pip could not download {source.file} ({_reason(done.stderr)})")


def _reason(said: str) -> str:
    """Why pip failed. Where its index cannot be reached, its errors only say that there is no such version."""
    errors = re.findall(r"^ERROR: (.*)", said, re.MULTILINE)
    broken = re.findall(r"^WARNING: Retrying .* connection broken by (.*)", said, re.MULTILINE)
    if broken and any("(from versions: none)" in each for each in errors):
        return f"its package index could not be reached: {short(broken[-1], 300)}"
    return short(errors[-1], 200) if errors else "it downloaded another file"


def _pip() -> list[str]:
    """The command of pip: that of this environment, else one on the PATH (uv makes environments without pip)."""
    own = [sys.executable, "-m", "pip"]
    if not subprocess.run([*own, "--version"], capture_output=True, check=False).returncode:
        return own
    if other := shutil.which("pip") or shutil.which("pip3"):
        return [other]
    raise LeukoError("pip is not installed: run `uv pip install pip`, or `python -m ensurepip`")


def _from_url(source: FromUrl, path: Path) -> None:
    # not a `new_file`, which is removed when it is cut: the next download goes on from this one
    part = path.with_name(f"{path.name}.part")
    have = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(source.url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer, explained_os_errors(part):
            _receive(answer, part, have if answer.status == http.HTTPStatus.PARTIAL_CONTENT else 0, path.name)
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or not have:  # else all is here already
            raise LeukoError(f"{source.url} answers {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
        reason = getattr(error, "reason", None) or error
        raise LeukoError(f"{source.url} could not be reached, or broke off ({short(str(reason), 120)})") from error
    os.replace(part, path)


def _receive(answer: http.client.HTTPResponse, part: Path, have: int, name: str) -> None:
    """Append what the server sends to the `have` bytes of `part`. Raises LeukoError where that is less than it said."""
    length = answer.headers.get("Content-Length")
    total = have + int(length) if length is not None else None
    with part.open("ab" if have else "wb") as file, progress((total or 0) // CHUNK, f"{name}, MB") as advance:
        while chunk := answer.read(CHUNK):
            file.write(chunk)
            have += len(chunk)
            advance(1, "")
    if total is not None and have != total:
        raise LeukoError(f"{name} broke off after {have} of {total} bytes: run the command again, it goes on there")
