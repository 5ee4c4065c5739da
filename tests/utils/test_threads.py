import threading
import time
from collections.abc import Iterator

import pytest

from vidpose.utils.threads import Newest, ahead


def _threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("vidpose")]


def test_stages_work_ahead_of_each_other_in_order() -> None:
    with (
        ahead(range(50), 4, "count") as numbers,
        ahead((2 * n for n in numbers), 4, "double") as doubled,
    ):
        assert len(_threads()) >= 1
        assert list(doubled) == [2 * n for n in range(50)]
        assert list(doubled) == []  # once more is no harm
    assert not _threads()


def test_queues_are_bounded() -> None:
    taken = []

    def steps() -> Iterator[int]:
        for n in range(1000):
            taken.append(n)
            yield n

    with ahead(steps(), 3, "run") as numbers:
        assert next(numbers) == 0
        time.sleep(0.05)
        assert len(taken) <= 6  # those waiting, the one taken, and the one in hand
    assert not _threads()


def test_errors_pass_through_all_stages_in_order() -> None:
    def fails() -> Iterator[int]:
        yield from range(3)
        raise OSError("the cable is out")

    got: list[int] = []

    def through_three() -> None:
        with (
            ahead(fails(), 8, "a") as numbers,
            ahead((n + 1 for n in numbers), 8, "b") as more,
            ahead(more, 8, "c") as last,
        ):
            got.extend(n for n in iter(lambda: next(last), None))

    with pytest.raises(OSError, match="the cable is out") as caught:
        through_three()
    assert not _threads()
    assert caught.traceback[-1].name == "fails"  # where it happened


def test_leaving_the_block_ends_threads_and_steps() -> None:
    ended = []

    def endless(name: str) -> Iterator[int]:
        n = 0
        try:
            while True:
                yield n
                n += 1
        finally:
            ended.append(name)

    def interrupted_by(error: type[BaseException]) -> None:
        with (
            ahead(endless("first"), 2, "first") as numbers,
            ahead((n for n in numbers), 2, "second") as same,
        ):
            assert next(same) == 0
            raise error

    for error in (ValueError, KeyboardInterrupt, SystemExit):
        ended.clear()
        with pytest.raises(error):
            interrupted_by(error)
        assert ended == ["first"]
        assert not _threads()


def test_the_newest_steps_stay_and_the_others_are_counted() -> None:
    taken, go_on = threading.Event(), threading.Event()

    def steps() -> Iterator[int]:
        yield 0
        taken.wait()
        yield from range(1, 10)
        go_on.set()
        yield 10

    with Newest(steps(), 2, "camera") as numbers:
        assert next(numbers) == 0
        taken.set()
        assert go_on.wait(10)
        while threads := [name for name in _threads() if "camera" in name]:
            assert threads == ["vidpose camera"]
            time.sleep(0.001)
        assert list(numbers) == [9, 10]
        assert numbers.dropped == 8
        assert list(numbers) == []


def test_newest_stops_at_once_while_its_steps_block() -> None:
    never, closed = threading.Event(), threading.Event()

    def steps() -> Iterator[int]:
        try:
            yield 0
            never.wait()
            yield 1
        finally:
            closed.set()

    with Newest(steps(), 2, "camera") as numbers:
        assert next(numbers) == 0
        threading.Timer(0.02, numbers.stop).start()
        assert list(numbers) == []
        never.set()
    assert closed.is_set()
    assert not _threads()


def test_an_error_of_the_newest_comes_after_the_steps_before_it() -> None:
    def fails() -> Iterator[int]:
        yield 1
        raise OSError("the cable is out")

    with Newest(fails(), 2, "camera") as numbers:
        assert next(numbers) == 1
        with pytest.raises(OSError, match="the cable is out"):
            next(numbers)
        assert list(numbers) == []
