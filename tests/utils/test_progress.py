"""Work that tells what it is at."""

from threading import Event

import pytest

from vidpose.utils import progress


def test_what_takes_long_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LONG_S", 0.0)
    lines: list[str] = []
    told = Event()

    def report(line: str) -> None:
        lines.append(line)
        told.set()

    with progress.told_if_long(report, "Saving"):
        assert told.wait(60)
    assert lines == ["Saving ..."]


def test_what_is_quick_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LONG_S", 3600.0)
    lines: list[str] = []
    with pytest.raises(ZeroDivisionError), progress.told_if_long(lines.append, "Saving"):
        raise ZeroDivisionError
    assert not lines
