"""A piece of work whose second process fails and whose first is slow to clean up. test_distributed.py starts it."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from leukosr.config import load_params
from leukosr.engine.distributed import launched

CLEANING = 7  # seconds; Fabric's observer looks every 5


def main(params_file: Path) -> None:
    """Fail in one process; the other waits for it, and leaves the file `cleaned` when it could tidy up."""
    with launched(load_params(params_file).runtime) as processes:
        try:
            if processes.rank:
                raise RuntimeError("out of luck")
            processes.fabric.barrier()
        finally:
            if processes.first:
                time.sleep(CLEANING)
                Path("cleaned").touch()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
