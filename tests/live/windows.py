"""A fake window."""

from __future__ import annotations

from collections.abc import Callable

from vidpose.video import Image


class FakeWindow:
    """Keeps the images shown; calls `at` after each with the number of images so far."""

    width = 320

    def __init__(self, at: Callable[[FakeWindow, int], None] = lambda window, n: None) -> None:
        self.shown: list[Image] = []
        self.titles: list[str] = []
        self.closed = self.left = False
        self._at = at

    def __call__(self, title: str) -> FakeWindow:
        return self

    def show(self, image: Image, title: str) -> None:
        self.shown.append(image)
        self.titles.append(title)
        self._at(self, len(self.shown))

    def update(self) -> None:
        pass

    def __enter__(self) -> FakeWindow:
        return self

    def __exit__(self, *_: object) -> None:
        self.left = True
