"""Starting the processes of a stage: one by default, several under Lightning Fabric's DDP.

A batch is always the global batch: every process computes its part, batch norm and gradients cover all of it, so the
losses equal those of one process up to the order of sums. Only the first process validates, writes, logs and prints.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from leukosr.engine.device import choose_device
from leukosr.engine.parallel import without_interrupts
from leukosr.engine.processes import ALONE, Processes, launcher_number
from leukosr.engine.settings import Runtime
from leukosr.engine.stopping import ENDING
from leukosr.errors import LeukoError

# how long the others wait for the first process to validate, test and write
PATIENCE = timedelta(hours=2)
# what PyTorch's back ends and its store say of a connection that was there before
LOST = ("closed", "reset", "broken pipe", "timeout", "timed out", "failed to recv", "remote process exited")
CLEANING_SECONDS = 60  # for the first process, once another has failed: MLflow's server may be slow to answer


@contextmanager
def launched(runtime: Runtime) -> Iterator[Processes]:
    """Join the processes that torchrun, Fabric's CLI or a cluster started, or start those that `runtime` asks for.

    Inside, all of them run the same code. If one fails, all end: the first to fail reports its error, the others exit
    silently with 1. Only the first process handles Ctrl-C, SIGTERM and SIGHUP.
    """
    devices, nodes = _wanted(runtime)
    if devices * nodes == 1:
        yield ALONE
        return
    fabric = _fabric(runtime, devices, nodes)
    silent = joined = False
    try:
        # blocked in the started processes, too: a terminal sends Ctrl-C to all of them
        with without_interrupts(signal.SIGTERM):
            _observe_patiently()
            fabric.launch()
        joined = True
        if fabric.global_rank:
            for number in (signal.SIGINT, *ENDING):
                signal.signal(number, signal.SIG_IGN)
        yield Processes(fabric.global_rank, fabric.world_size, fabric)
        fabric.barrier()  # the others wait until the first has written
        dist.destroy_process_group()
        _end(_started_by(fabric), grace=None)
    except BaseException as error:
        silent = not _first_to_fail()
        if silent:
            time.sleep(1)  # or the launcher might stop the one that reports
            raise SystemExit(1) from error
        if joined and _lost_another(error):
            cause = str(error).splitlines()[0].partition(". ")[0]
            raise LeukoError(
                f"another process of this stage was killed, or its machine does not answer ({cause}): start the same "
                "command on all machines again, and it goes on from the last state"
            ) from error
        raise
    finally:
        _end(_started_by(fabric), grace=10 if silent else 0)


def _wanted(runtime: Runtime) -> tuple[int, int]:
    """Processes on this machine and machines: as torchrun started them, else as params.yaml says."""
    if os.environ.get("LOCAL_WORLD_SIZE") and os.environ.get("WORLD_SIZE"):
        here, everywhere = launcher_number("LOCAL_WORLD_SIZE", 1), launcher_number("WORLD_SIZE", 1)
        if everywhere % here:
            raise LeukoError(f"WORLD_SIZE {everywhere} is not a multiple of LOCAL_WORLD_SIZE {here}: start by torchrun")
        for name in ("RANK", "LOCAL_RANK"):
            launcher_number(name, 0)
        return here, everywhere // here
    if runtime.nodes > 1 and not {"MASTER_ADDR", "SLURM_JOB_ID"} & os.environ.keys():
        raise LeukoError(
            f"runtime.nodes = {runtime.nodes}: the machines cannot find each other: start the command on each of "
            "them by torchrun, or with MASTER_ADDR, MASTER_PORT and NODE_RANK in the environment"
        )
    return runtime.devices, runtime.nodes


def _fabric(runtime: Runtime, devices: int, nodes: int) -> Any:
    import logging

    from lightning_fabric import Fabric
    from lightning_fabric.strategies import DDPStrategy

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # no banners
    for name in [name for name in os.environ if name.startswith("LT_")]:
        del os.environ[name]  # of Fabric's CLI, which has started torchrun; device and precision are those of params
    device = choose_device(runtime.device).type
    if device == "cuda" and devices > torch.cuda.device_count():
        raise LeukoError(
            f"runtime.devices = {devices}: torch finds {torch.cuda.device_count()} CUDA devices here: ask for no "
            "more than these, or set runtime.device to cpu"
        )
    # buffers are equal on all processes without being sent: batch norm's come from the statistics of all images,
    # spectral norm's from the weights alone
    strategy = DDPStrategy(forward_sync_buffers=False, timeout=PATIENCE)
    return Fabric(accelerator=device, devices=devices, num_nodes=nodes, strategy=strategy)


def _observe_patiently() -> None:
    """Delay Fabric's observer, which kills the first process within 5 s of a child's failure, so that it can clean up.

    The observer is still needed: if a collective operation hangs, as on CUDA, nothing else ends the process.
    """
    from lightning_fabric.strategies.launchers import subprocess_script

    class Observer(subprocess_script._ChildProcessObserver):
        def _terminate_all(self) -> None:
            time.sleep(CLEANING_SECONDS)  # a daemon thread: it ends with the process
            super()._terminate_all()

    def observe(child_processes: list[subprocess.Popen[Any]]) -> None:
        Observer(os.getpid(), child_processes).start()

    subprocess_script._launch_process_observer = observe


def _started_by(fabric: Any) -> Sequence[subprocess.Popen[bytes]]:
    """The processes that Fabric started from this one; none under torchrun."""
    return getattr(fabric.strategy.launcher, "procs", [])


def _end(processes: Sequence[subprocess.Popen[bytes]], grace: float | None) -> None:
    """Wait `grace` seconds for processes to end (None: indefinitely), then kill them."""
    for process in processes:
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            process.kill()  # they ignore other signals, and have nothing to write
            process.wait()


def _lost_another(error: BaseException) -> bool:
    """Whether the connection to another process was lost: so says a DistError or, of gloo, a RuntimeError."""
    of_distributed = isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error))
    return of_distributed and any(word in str(error).lower() for word in LOST)


def _first_to_fail() -> bool:
    """Whether no other process has failed before this one."""
    try:
        failures: int = dist.distributed_c10d._get_default_store().add("leukosr/failures", 1)
    except (RuntimeError, ValueError):  # the store was the first process's, which is gone; or there is none yet
        return not dist.is_initialized()
    return failures == 1
