"""Stages of the pipeline that work at the same time, each in a thread of its own.

PyAV, OpenCV, ONNX Runtime and PyTorch let go of Python's lock while they compute, so threads are
enough; and pictures are handed over, not copied.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from queue import Empty, Queue
from threading import Event, Thread
from typing import Any, TypeVar

Item = TypeVar("Item")

_WAIT_S = 0.02


class _End:
    """The last thing in a queue: the steps have come to their end, or to an error."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


@contextmanager
def ahead(steps: Iterable[Item], depth: int, name: str) -> Iterator[Iterator[Item]]:
    """Let a thread take the steps, up to `depth` of them ahead of whoever uses them.

        with ahead(reader, 4, "decode") as frames, ahead(detect(frames), 8, "detect") as found:
            for detections in found:
                ...

    An error in the steps comes out of the iterator as itself, after the steps before it, and so
    passes from stage to stage. When the block ends, however it does, the thread ends after the
    step it is at, and the steps' own `finally` runs.

    Args:
        steps: only the thread touches them from here on.
        depth: bounds the memory.
        name: of the thread, for whoever looks at a stack.
    """
    queue: Queue[Any] = Queue(depth)
    stop = Event()

    def work() -> None:
        end = _End()
        iterator = iter(steps)
        try:
            for step in iterator:
                queue.put(step)
                if stop.is_set():
                    break
        except BaseException as error:  # whoever waits at the other end raises it
            end = _End(error)
        try:
            if hasattr(iterator, "close"):
                iterator.close()
        except BaseException as error:
            end = _End(end.error or error)
        queue.put(end)

    def taken() -> Iterator[Item]:
        while True:
            step = queue.get()
            if isinstance(step, _End):
                queue.put(step)  # for whoever asks once more
                if step.error is not None:
                    raise step.error
                return
            yield step

    thread = Thread(target=work, name=f"vidpose {name}", daemon=True)
    thread.start()
    try:
        yield taken()
    finally:
        stop.set()
        while thread.is_alive():
            try:  # make room, for the thread may be waiting for it
                while True:
                    queue.get_nowait()
            except Empty:
                thread.join(_WAIT_S)
