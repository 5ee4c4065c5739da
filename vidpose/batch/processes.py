"""Run jobs in several processes at a time.

Each process runs one job after another. If a process dies (killed, out of memory, a crash in native
code), only its current job fails, and a new process takes its place.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any

from vidpose.batch.job import Job, Outcome, Worker
from vidpose.utils.devices import available_cores

LOST = "{}: its process ended unexpectedly ({}); run it again, with fewer --jobs if memory is short"
PATIENCE_S = 20.0
"""How long a terminated process may take to write its detections."""


class _Process:
    """A process and our end of the pipe to it."""

    def __init__(self, cores: int) -> None:
        # A fresh interpreter: forking a process with threads is not safe.
        context: Any = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, cores), daemon=True)
        self._process.start()
        theirs.close()
        self.job: Job | None = None

    def give(self, job: Job) -> None:
        self.job = job
        with suppress(OSError):  # if the process is gone, `outcome` reports it
            self.pipe.send(job)

    def outcome(self) -> Outcome:
        """Return the outcome of its job; call when the pipe is ready."""
        assert self.job is not None
        try:
            outcome: Outcome = self.pipe.recv()
        except (EOFError, OSError):
            self._process.join()
            reason = LOST.format(self.job.video, _ending(self._process.exitcode))
            outcome = Outcome(self.job.video, self.job.target, "failed", reason=reason)
            self.pipe.close()
        self.job = None
        return outcome

    @property
    def lost(self) -> bool:
        return bool(self.pipe.closed)

    def end(self) -> None:
        """Terminate it; its current job keeps its detections so far."""
        self._process.terminate()
        self._process.join(PATIENCE_S)
        if self._process.is_alive():  # blocked in a library, for example on a disk
            self._process.kill()
            self._process.join()
        self.pipe.close()


def run_in_processes(jobs: list[Job], processes: int) -> Iterator[Outcome]:
    """Yield the outcomes of all jobs as they arrive.

    Args:
        jobs: in the order in which they are started.
        processes: number of processes.
    """
    cores = max(1, available_cores() // processes)
    waiting = deque(jobs)
    workers: list[_Process] = []
    try:
        while waiting or any(worker.job for worker in workers):
            while waiting:
                idle = next((worker for worker in workers if worker.job is None), None)
                if idle is None and len(workers) == processes:
                    break
                if idle is None:
                    idle = _Process(cores)
                    workers.append(idle)
                idle.give(waiting.popleft())
            pipes: dict[Any, _Process] = {worker.pipe: worker for worker in workers if worker.job}
            for pipe in wait(list(pipes)):
                yield pipes[pipe].outcome()
            workers = [worker for worker in workers if not worker.lost]
    finally:
        for worker in workers:
            worker.end()


def _work(pipe: Connection, cores: int) -> None:
    """Run jobs in a worker process."""
    # Ctrl-C reaches all processes of a terminal at once; the main process ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    threading.Thread(target=_end_with_main_process, daemon=True).start()
    import cv2
    import torch

    torch.set_num_threads(cores)
    cv2.setNumThreads(cores)
    work = Worker()
    while True:
        try:
            job: Job = pipe.recv()
        except EOFError:  # the main process is gone
            return
        pipe.send(work(job))


def _end_with_main_process() -> None:
    """Exit when the main process is gone: a killed process cannot end its workers, and the user
    would soon start others on the same videos.
    """
    main = multiprocessing.parent_process()
    assert main is not None
    wait([main.sentinel])
    os._exit(1)


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        return f"signal {-code}"
    return f"exit code {code}"
