"""State of an interrupted training, kept outside DVC's outputs, which DVC deletes before it reruns a stage."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

import leukosr
from leukosr.errors import Diverged, LeukoError
from leukosr.files import new_file

ROOT = Path(".leukosr/resume")
KEPT_DAYS = 30  # states that were not resumed for so long, e.g. as settings or code changed, are removed
UNUSED = "unused"  # a file in the folder of a state that marks when it was first seen to be old
SEAL = 66  # bytes of `_seal`


def work_digest(settings: object, inputs: Iterable[Path]) -> str:
    """A digest of the settings, the bytes of the input files and the code of this package.

    Only the same work resumes an interrupted training.
    """
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    package = Path(leukosr.__file__).parent
    for path in [*sorted(package.rglob("*.py")), *inputs]:
        digest.update(path.name.encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:32]


class Resume:
    """Checkpoints of one training, saved at most every `seconds`."""

    def __init__(self, digest: str, seconds: float, root: Path = ROOT) -> None:
        """`digest` names the work; `seconds` 0 saves at every opportunity."""
        self.root, self.folder = root, root / digest
        self.seconds = seconds
        self._last = time.monotonic()
        _forget_old(root)

    @classmethod
    def computed_in(cls, precision: str, digest: str, seconds: float, root: Path = ROOT) -> Resume:
        """Checkpoints of a training in `precision`; `digest` is that of everything else.

        Raises LeukoError where an interrupted attempt computed in another precision: a mixture would be neither.
        """
        for other in sorted(root.glob(f"{digest}-*")):
            found = other.name.removeprefix(f"{digest}-")
            if found != precision and any(other.glob("*.pt")):
                raise LeukoError(
                    f"an interrupted attempt of this training computed in {found}, but this one would continue "
                    f"in {precision}: set precision to {found} to finish it, or remove {other} to begin again"
                )
        return cls(f"{digest}-{precision}", seconds, root)

    def load(self, name: str) -> dict[str, Any] | None:
        """The last state saved under `name`, or None. Tensors come to the CPU."""
        path = self.folder / f"{name}.pt"
        if not path.exists():
            return None
        (self.folder / UNUSED).unlink(missing_ok=True)
        try:
            content = memoryview(path.read_bytes())
            if content[-SEAL:] != _seal(content[:-SEAL]):
                raise ValueError("its SHA-256 is not that of its bytes")
            state: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        except Exception as error:  # another version of torch raises nearly any type of error
            raise LeukoError(
                f"{path}, the state of an interrupted training, is damaged: remove it and run again"
            ) from error
        return state

    def due(self) -> bool:
        """Whether it is time to save again."""
        return time.monotonic() - self._last >= self.seconds

    def save(self, name: str, state: dict[str, Any]) -> None:
        """Save a state of tensors and plain values, atomically."""
        with new_file(self.folder / f"{name}.pt") as temporary:
            content = io.BytesIO()  # torch hides a full disk behind an error of its own
            torch.save(state, content)
            archive = content.getbuffer()[:-2]
            with temporary.open("wb") as file:
                file.write(archive)
                file.write(_seal(archive))
        self._last = time.monotonic()

    def drop(self, name: str) -> None:
        """Remove one state."""
        (self.folder / f"{name}.pt").unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove all states: the work is done."""
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def cleared_if_diverged(resumes: Iterable[Resume]) -> Iterator[None]:
    """Remove these states where a network diverges inside.

    The same work would end the same way again, and in another precision it could not begin beside them.
    """
    try:
        yield
    except Diverged:
        for each in resumes:
            each.clear()
        raise


def _seal(archive: memoryview) -> bytes:
    """The last bytes of a zip archive: a comment that holds its SHA-256, in place of the comment of length 0.

    `archive` is all but these; `torch.load` reads the archive with either.
    """
    digest = hashlib.sha256(archive).hexdigest().encode()
    return len(digest).to_bytes(2, "little") + digest


def _forget_old(root: Path) -> None:
    """Remove the states that were already older than KEPT_DAYS at a check KEPT_DAYS ago.

    One check is not enough: a clock that jumps forward makes every state old at once. The first check leaves a mark,
    and only a second one, KEPT_DAYS later by the same clock, removes the state.
    """
    now = time.time()
    for folder in root.iterdir() if root.is_dir() else ():
        with suppress(OSError):  # another process may have removed it
            mark = folder / UNUSED
            saved = max((path.stat().st_mtime for path in folder.iterdir() if path != mark), default=0)
            if now - saved <= KEPT_DAYS * 86400:
                mark.unlink(missing_ok=True)
            elif not mark.exists() or mark.stat().st_mtime > now:
                mark.touch()
                os.utime(mark, (now, now))
            elif now - mark.stat().st_mtime > KEPT_DAYS * 86400:
                shutil.rmtree(folder, ignore_errors=True)
