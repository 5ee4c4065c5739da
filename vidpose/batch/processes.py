"""Jobs in processes of their own, several at a time.

Each process works on one job after the other. One that ends in the middle (killed, out of memory,
a crash in native code) costs the job it was at, and another takes its place.
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
"""A process that is to end has so long to write what it has found."""


class _Process:
    """A process, and this end of the line to it."""

    def __init__(self, cores: int) -> None:
        # A fresh interpreter: forking one that has threads is not safe.
        context: Any = multiprocessing.get_context("spawn")
        self.line, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, cores), daemon=True)
        self._process.start()
        theirs.close()
        self.job: Job | None = None

    def give(self, job: Job) -> None:
        self.job = job
        with suppress(OSError):  # if the process is gone, `outcome` says so
            self.line.send(job)

    def outcome(self) -> Outcome:
        """Of the job it has; call when the line is ready."""
        assert self.job is not None
        try:
            outcome: Outcome = self.line.recv()
        except (EOFError, OSError):
            self._process.join()
            reason = LOST.format(self.job.video, _ending(self._process.exitcode))
            outcome = Outcome(self.job.video, self.job.target, "failed", reason=reason)
            self.line.close()
        self.job = None
        return outcome

    @property
    def lost(self) -> bool:
        return bool(self.line.closed)

    def end(self) -> None:
        """Now; what it was at keeps what is finished."""
        self._process.terminate()
        self._process.join(PATIENCE_S)
        if self._process.is_alive():  # waits inside a library for a disk that does not answer
            self._process.kill()
            self._process.join()
        self.line.close()


def run_in_processes(jobs: list[Job], processes: int) -> Iterator[Outcome]:
    """The outcomes of all jobs, as they come in.

    Args:
        jobs: in the order in which they are begun.
        processes: so many at a time.
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
            lines: dict[Any, _Process] = {worker.line: worker for worker in workers if worker.job}
            for line in wait(list(lines)):
                yield lines[line].outcome()
            workers = [worker for worker in workers if not worker.lost]
    finally:
        for worker in workers:
            worker.end()


def _work(line: Connection, cores: int) -> None:
    """What runs in the process."""
    # Ctrl-C reaches all processes of a terminal at once; the first one ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    threading.Thread(target=_end_with_the_first_process, daemon=True).start()
    import cv2
    import torch

    torch.set_num_threads(cores)
    cv2.setNumThreads(cores)
    work = Worker()
    while True:
        try:
            job: Job = line.recv()
        except EOFError:  # the first process is gone
            return
        line.send(work(job))


def _end_with_the_first_process() -> None:
    """A killed process cannot end its workers, and the same command would soon start others on
    the same videos.
    """
    first = multiprocessing.parent_process()
    assert first is not None
    wait([first.sentinel])
    os._exit(1)


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        return f"signal {-code}"
    return f"exit code {code}"
