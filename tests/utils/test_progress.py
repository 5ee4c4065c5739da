"""Announcements of long work."""

import threading

import pytest

from vidpose.events import Event, Info
from vidpose.utils import progress


def test_long_work_is_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LONG_S", 0.0)
    events: list[Event] = []
    announced = threading.Event()

    def report(event: Event) -> None:
        events.append(event)
        announced.set()

    with progress.announce_if_long(report, "Saving"):
        assert announced.wait(60)
    assert events == [Info("Saving ...")]


def test_short_work_is_not_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LONG_S", 3600.0)
    events: list[Event] = []
    with pytest.raises(ZeroDivisionError), progress.announce_if_long(events.append, "Saving"):
        raise ZeroDivisionError
    assert not events
