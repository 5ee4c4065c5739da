"""A window that shows images, with the Tk that comes with Python."""

from __future__ import annotations

from contextlib import suppress
from types import TracebackType
from typing import Any, Protocol

import numpy as np

from vidpose.errors import MissingDependencyError, UsageError
from vidpose.video import Image

WIDEST_PX = 1600
KEYS = ("<q>", "<Q>", "<Escape>")


class Window(Protocol):
    """Shows images; used by the main thread only. A context manager."""

    width: int
    """Maximum width of images, pixels."""
    closed: bool
    """The user has asked to end: Q, Escape, or the window's close button."""

    def show(self, image: Image, title: str) -> None:
        """Show an image, (H, W, 3) RGB."""

    def update(self) -> None:
        """Process events; to be called many times a second."""

    def __enter__(self) -> Window: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None: ...


class TkWindow:
    """See `Window`.

    Raises:
        MissingDependencyError: this Python has no Tk.
        UsageError: there is no display.
    """

    def __init__(self, title: str) -> None:
        try:
            import tkinter
        except ImportError:
            raise MissingDependencyError(
                "A window needs Tk, which this Python lacks; install it (on Debian and "
                "Ubuntu `apt install python3-tk`, with Homebrew `brew install python-tk`), or "
                "give --headless."
            ) from None
        try:
            self._root = tkinter.Tk()
        except tkinter.TclError as error:
            raise UsageError(
                f"There is no display to show a window on ({error}); give --headless."
            ) from None
        self.closed = False
        self._gone = tkinter.TclError
        self._root.title(title)
        self._root.resizable(False, False)
        self._root.protocol("WM_DELETE_WINDOW", self._close)
        for key in KEYS:
            self._root.bind(key, self._close)
        self.width = min(WIDEST_PX, round(0.95 * self._root.winfo_screenwidth()))
        self._photo = tkinter.PhotoImage(width=640, height=360)
        tkinter.Label(self._root, image=self._photo, borderwidth=0, background="black").pack()
        self._root.update()

    def show(self, image: Image, title: str) -> None:
        """See `Window`."""
        height, width = image.shape[:2]
        # PPM, which Tk reads without another library.
        data = b"P6 %d %d 255 " % (width, height) + np.ascontiguousarray(image).tobytes()
        if not self.closed:
            self._photo.configure(data=data, format="ppm", width=width, height=height)
            self._root.title(title)
        self.update()

    def update(self) -> None:
        """See `Window`."""
        try:
            self._root.update()
        except self._gone:  # the display is gone
            self.closed = True

    def _close(self, event: Any = None) -> None:
        self.closed = True

    def __enter__(self) -> TkWindow:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(self._gone):
            self._root.destroy()
