"""A local HTTP server that lies about lengths, bytes and addresses, or does not answer at all."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

CONTENT = bytes(range(256)) * 8000
"""2 MB that an honest server would send."""
DRIP_S = 0.02


@dataclass
class Visit:
    """One connection whose request has been read."""

    client: socket.socket
    url: str
    """Of the server itself."""
    over: threading.Event
    """Set when the server ends: no lie outlives it."""

    def head(self, *lines: str, status: str = "200 OK") -> None:
        """The status line and headers."""
        self.client.sendall("\r\n".join((f"HTTP/1.1 {status}", *lines, "", "")).encode("latin-1"))

    def whole(self, body: bytes, claims: int | None = None) -> None:
        """A response with a body and a possibly wrong length."""
        self.head(f"Content-Length: {len(body) if claims is None else claims}", 'ETag: "1"')
        self.client.sendall(body)

    def redirect(self, to: str) -> None:
        self.head(f"Location: {to}", "Content-Length: 0", status="302 Found")


def _nothing(visit: Visit) -> None:
    visit.over.wait()


def _half_then_nothing(visit: Visit) -> None:
    visit.whole(CONTENT[: len(CONTENT) // 2], len(CONTENT))
    visit.over.wait()


def _drips(visit: Visit) -> None:
    visit.head(f"Content-Length: {len(CONTENT)}", 'ETag: "1"')
    for place in range(len(CONTENT)):
        visit.client.sendall(CONTENT[place : place + 1])
        if visit.over.wait(DRIP_S):
            return


def _endless(visit: Visit) -> None:
    visit.head()
    while not visit.over.is_set():
        visit.client.sendall(CONTENT)


def _endless_in_chunks(visit: Visit) -> None:
    visit.head("Transfer-Encoding: chunked")
    while not visit.over.is_set():
        visit.client.sendall(f"{len(CONTENT):x}\r\n".encode() + CONTENT + b"\r\n")


def _endless_headers(visit: Visit) -> None:
    visit.client.sendall(b"HTTP/1.1 200 OK\r\n")
    while not visit.over.is_set():
        visit.client.sendall(b"X-More: of the same\r\n" * 100)


def _head_drips(visit: Visit) -> None:
    visit.client.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while not visit.over.wait(DRIP_S):
        visit.client.sendall(b"x")


def _broken_chunks(visit: Visit) -> None:
    visit.head("Transfer-Encoding: chunked")
    visit.client.sendall(b"10000\r\n" + CONTENT[:0x10000] + b"\r\nno number\r\n")


def _part_of_another(visit: Visit) -> None:
    end = len(CONTENT)
    visit.head(
        f"Content-Range: bytes 1000-{end - 1}/{end}",
        f"Content-Length: {end - 1000}",
        status="206 Partial Content",
    )
    visit.client.sendall(CONTENT[1000:])


@dataclass(frozen=True)
class Lie:
    tell: Callable[[Visit], None]
    sentence: str
    """A pattern of what the user is told."""
    size_known: bool = True
    """Whether the registry has the file's size."""
    is_slow: bool = field(default=False)
    """Whether only a limit of time ends it."""


SHORT, LONG = CONTENT[:-1000], CONTENT + b"x" * 1000
_SIZES = f"the file there has {len(SHORT)} bytes, not {len(CONTENT)}"
_WRONG = "the file from .* is not .*: its SHA-256 begins .*; it was removed"
_CIRCLE = "the site redirects in a circle, or to no web address"
_OUT_OF_REACH = "the site cannot be reached "

LIES = {
    "other bytes": Lie(lambda v: v.whole(CONTENT[::-1]), _WRONG),
    "a page": Lie(lambda v: v.whole(b"<html>"), "the file there has 6 bytes, not"),
    "a page, size not known": Lie(lambda v: v.whole(b"<html>"), _WRONG, size_known=False),
    "short, and the right length": Lie(lambda v: v.whole(SHORT, len(CONTENT)), "broke after"),
    "short, and its own length": Lie(lambda v: v.whole(SHORT), _SIZES),
    "right, and a short length": Lie(lambda v: v.whole(CONTENT, len(SHORT)), _SIZES),
    "a short length, size not known": Lie(
        lambda v: v.whole(CONTENT, len(SHORT)), _WRONG, size_known=False
    ),
    "right, and a long length": Lie(lambda v: v.whole(CONTENT, len(LONG)), "the file there has"),
    "a long length, size not known": Lie(
        lambda v: v.whole(CONTENT, len(LONG)), "broke after", size_known=False
    ),
    "an absurd length": Lie(lambda v: v.whole(CONTENT, 10**14), "the file there has"),
    "an absurd length, size not known": Lie(
        lambda v: v.whole(CONTENT, 10**14), "is larger than|broke after", size_known=False
    ),
    "a negative length": Lie(lambda v: v.whole(SHORT, -5), _SIZES),
    "nothing": Lie(lambda v: v.whole(b""), "the file there has 0 bytes"),
    "no end": Lie(_endless, "the file there is larger than"),
    "no end, size not known": Lie(_endless, "the file there is larger than", size_known=False),
    "no end, in chunks": Lie(_endless_in_chunks, "the file there is larger than", size_known=False),
    "broken chunks": Lie(_broken_chunks, "the file there has 65536 bytes"),
    "broken chunks, size not known": Lie(_broken_chunks, _WRONG, size_known=False),
    "a part nobody asked for": Lie(_part_of_another, "the file there has"),
    "headers without end": Lie(_endless_headers, _OUT_OF_REACH),
    "no HTTP": Lie(lambda v: v.client.sendall(b"\x00\xff" * 1000), _OUT_OF_REACH),
    "goodbye": Lie(lambda v: None, _OUT_OF_REACH),
    "500": Lie(lambda v: v.head(status="500 Broken"), "the site answers 500 Broken"),
    "a long reason": Lie(
        lambda v: v.head(status="503 " + "\x1b[2Jno " * 5000), "the site answers 503"
    ),
    "a circle": Lie(lambda v: v.redirect(v.url), _CIRCLE),
    "a redirect to a file": Lie(lambda v: v.redirect("file:///etc/passwd"), _CIRCLE),
    "a redirect to no port": Lie(lambda v: v.redirect("http://127.0.0.1:99999/"), _OUT_OF_REACH),
    "a redirect to no name": Lie(lambda v: v.redirect(f"http://{'a' * 99}/"), _OUT_OF_REACH),
    "silence": Lie(_nothing, _OUT_OF_REACH, is_slow=True),
    "half, then silence": Lie(_half_then_nothing, "broke after", is_slow=True),
    "a head byte by byte": Lie(_head_drips, "no answer within", is_slow=True),
    "a byte now and then": Lie(_drips, "broke after", is_slow=True),
}


@contextmanager
def lying(lie: Lie) -> Iterator[str]:
    """Serve a lie at a URL while the block runs."""
    over = threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):  # the client may have heard enough
                request = b""
                while b"\r\n\r\n" not in request:
                    some = self.request.recv(65536)
                    if not some:
                        return
                    request += some
                lie.tell(Visit(self.request, url, over))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        url = f"http://127.0.0.1:{server.server_address[1]}/net.pth"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield url
        finally:
            over.set()
            server.shutdown()
            thread.join()
