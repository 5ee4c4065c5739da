"""A headless local Chromium, without a GPU."""

from __future__ import annotations

import importlib.util
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--no-sandbox",  # root has none
    "--disable-gpu",
    "--enable-unsafe-swiftshader",  # WebGL in software
)


def find_chromium() -> str | None:
    """The executable in VIDPOSE_CHROMIUM, or one on the path."""
    named = os.environ.get("VIDPOSE_CHROMIUM")
    return named or next(filter(None, map(shutil.which, NAMES)), None)


def why_no_browser() -> str | None:
    """The reason if the player cannot be tested in a browser here."""
    if importlib.util.find_spec("playwright") is None:
        return "playwright is not installed"
    if find_chromium() is None:
        return "no Chromium is on the path or in VIDPOSE_CHROMIUM"
    return None


def wait_until(page: Any, condition: str, seconds: float = 20) -> None:
    """Wait for a JavaScript expression to be true. The page's content security policy does not
    allow Playwright's own function.
    """
    end = time.monotonic() + seconds
    while not page.evaluate(condition):
        if time.monotonic() > end:
            raise TimeoutError(condition)
        page.wait_for_timeout(20)


@contextmanager
def open_browser() -> Iterator[Any]:
    """The Playwright browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_chromium(), args=list(FLAGS), chromium_sandbox=False
        )
        try:
            yield browser
        finally:
            browser.close()
