import threading
import time
from collections.abc import Iterator

import pytest

from vidpose.utils.threads import ahead


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


def test_no_stage_runs_away() -> None:
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


def test_an_error_comes_through_all_stages_as_itself_after_what_was_before_it() -> None:
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


def test_whatever_ends_the_block_ends_the_threads_and_their_steps() -> None:
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
