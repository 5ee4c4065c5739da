"""Pipeline stages that run in parallel, each in its own thread.

PyAV, OpenCV, ONNX Runtime and PyTorch release the GIL while they compute, so threads are enough,
and images are passed without copying.
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
"""A thread that waits for a network longer than this is abandoned; it ends by itself."""


class _End:
    """Last item of a queue: the steps have ended, perhaps with an error."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


@contextmanager
def ahead(steps: Iterable[Item], depth: int, name: str) -> Iterator[Iterator[Item]]:
    """Iterate over steps in a thread, up to `depth` ahead of the consumer.

        with ahead(reader, 4, "decode") as frames, ahead(detect(frames), 8, "detect") as found:
            for detections in found:
                ...

    The iterator re-raises an error in the steps, after the steps before it, so that errors pass
    from stage to stage. When the block ends, even by an exception, the thread ends after its
    current step, and `finally` clauses of the steps run.

    Args:
        steps: from now on used only by the thread.
        depth: maximum number of waiting steps, which bounds the memory.
        name: name of the thread, for stack traces.
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
        except BaseException as error:  # re-raised by the consumer
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
                queue.put(step)  # for further calls of next()
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
            try:  # make room; the thread may be waiting for it
                while True:
                    queue.get_nowait()
            except Empty:
                thread.join(_WAIT_S)


class Newest(Generic[Item]):
    """A bounded buffer between threads that drops the oldest steps when it is full.

        with Newest(camera, 3, "camera") as frames:
            for frame in frames:
                ...

    The iterator re-raises an error in the steps, after the remaining steps. `stop` ends the
    iterator at once, from any thread, even while the producer is blocked.

    Args:
        steps: from now on used, and closed, only by the producer thread.
        depth: maximum number of waiting steps.
        name: name of the thread, for stack traces.
    """

    def __init__(self, steps: Iterator[Item], depth: int, name: str) -> None:
        self.dropped = 0
        """Number of dropped steps."""
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
        """Stop producing and returning steps."""
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
        except BaseException as raised:  # re-raised by the consumer
            error = raised
        finally:
            if hasattr(self._steps, "close"):
                self._steps.close()
            with self._changed:
                self._error = None if self._ended else error
                self._ended = True
                self._changed.notify_all()
