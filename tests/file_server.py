"""A local HTTP server for one file, with configurable faults."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PIECE = 1 << 16
"""Bytes that are written at a time."""


@dataclass
class Site:
    content: bytes
    url: str = ""
    etag: str | None = '"1"'
    ranges: bool = True
    break_after: list[int] = field(default_factory=list)
    """After how many bytes each of the next answers breaks off."""
    says_length: bool = True
    status: int = 200
    pause_s: float = 0.0
    """After every 64 kB."""
    asked: list[str | None] = field(default_factory=list)
    """The Range of every request."""


@contextmanager
def serving(site: Site) -> Iterator[Site]:
    """Serve `site.content` at `site.url` while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            site.asked.append(wanted)
            if site.status != 200:
                self.send_error(site.status)
                return
            start = 0
            current = self.headers.get("If-Range") in (None, site.etag)
            if wanted and site.ranges and current:
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(site.content):
                self.send_error(416)
                return
            body = site.content[start:]
            self.send_response(206 if start else 200)
            if start:
                end = len(site.content)
                self.send_header("Content-Range", f"bytes {start}-{end - 1}/{end}")
            if site.says_length:
                self.send_header("Content-Length", str(len(body)))
            if site.etag:
                self.send_header("ETag", site.etag)
            self.end_headers()
            if site.break_after:
                body = body[: site.break_after.pop(0)]
            with suppress(ConnectionError):  # the client may have heard enough
                for place in range(0, len(body), PIECE):
                    self.wfile.write(body[place : place + PIECE])
                    time.sleep(site.pause_s)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        site.url = f"http://127.0.0.1:{server.server_port}/file.pth"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()
