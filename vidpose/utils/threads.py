"""Stages of the pipeline that work at the same time, each in a thread of its own.

PyAV, OpenCV, ONNX Runtime and PyTorch let go of Python's lock while they compute, so threads are
enough; and pictures are handed over, not copied.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from queue import Empty, Queue
from threading import Condition, Event, Thread
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")

_WAIT_S = 0.02
LONGEST_JOIN_S = 1.0
"""A thread that waits for a network longer than this is left behind; it ends by itself."""


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


class Newest(Generic[Item]):
    """Steps that do not wait for whoever takes them: of those not taken the newest stay.

        with Newest(camera, 3, "camera") as frames:
            for frame in frames:
                ...

    An error in the steps comes out of the iterator as itself, after the steps that are left.
    `stop` ends the iterator at once, from any thread, even while the steps wait for something.

    Args:
        steps: only a thread of this touches them from here on, and closes them.
        depth: how many steps may lie here.
        name: of the thread, for whoever looks at a stack.
    """

    def __init__(self, steps: Iterator[Item], depth: int, name: str) -> None:
        self.dropped = 0
        """Steps that made room for newer ones."""
        self._steps, self._depth = steps, depth
        self._waiting: deque[Item] = deque()
        self._changed = Condition()
        self._ended = False
        self._error: BaseException | None = None
        self._thread = Thread(target=self._work, name=f"vidpose {name}", daemon=True)

    def __enter__(self) -> Newest[Item]:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
        self._thread.join(LONGEST_JOIN_S)

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended)
            if self._waiting:
                return self._waiting.popleft()
            error, self._error = self._error, None
        if error is not None:
            raise error
        raise StopIteration

    def stop(self) -> None:
        """No further step is taken or given."""
        with self._changed:
            self._ended = True
            self._waiting.clear()
            self._changed.notify_all()

    def _work(self) -> None:
        error: BaseException | None = None
        try:
            for step in self._steps:
                with self._changed:
                    if self._ended:
                        break
                    self._waiting.append(step)
                    if len(self._waiting) > self._depth:
                        self._waiting.popleft()
                        self.dropped += 1
                    self._changed.notify_all()
        except BaseException as raised:  # whoever takes the steps raises it
            error = raised
        finally:
            if hasattr(self._steps, "close"):
                self._steps.close()
            with self._changed:
                self._error = None if self._ended else error
                self._ended = True
                self._changed.notify_all()
