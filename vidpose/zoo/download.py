"""One large file over HTTP: in chunks, resumed after a break, never mixed from two versions.

urllib of the standard library does all that is needed (TLS with verification, redirects, the
environment's proxies, time limits), so no HTTP library is a dependency for one GET request.
"""

from __future__ import annotations

import http.client
import os
import queue
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.message import Message
from pathlib import Path

from vidpose import __version__
from vidpose.utils.files import replacing, small_text
from vidpose.utils.progress import Progress

CHUNK_BYTES = 1_000_000
TIMEOUT_S = 30.0
"""For a connection, and for the next bytes of a running download; twice as long for all of the
answer's head."""
SLOWEST_BYTES_S = 1000
"""A download that is slower than that for `TIMEOUT_S` has broken."""
ATTEMPTS = 3
"""How often one call goes on after a break; the next call goes on, too."""
LARGEST = 1_000_000_000
"""Bytes; no weights are as large, and a server that never ends does not fill the disk."""


class DownloadError(Exception):
    """Why a download failed: half a sentence for the user."""


class _BrokenError(DownloadError):
    """The connection broke; what came so far is good."""


def download(url: str, part: Path, size: int | None, progress: Progress, label: str) -> None:
    """Download `url` to `part`, going on from what `part` already holds.

    Going on is asked for with the ETag (or date) under which the first bytes came, kept next to
    `part`; a server that has another version by now, or knows no ranges, sends all of it again.

    Args:
        url: http or https.
        part: where the bytes go; it stays where a break leaves it.
        size: bytes, if known.
        progress: wraps the chunks, a megabyte each.
        label: what the progress is called.

    Raises:
        DownloadError: the site cannot be reached, has no such file, has one of another size, or
            breaks off again and again.
    """
    part.touch()
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _attempt(url, part, size, progress, label)
            break
        except _BrokenError:
            if attempt == ATTEMPTS:
                raise
    _version_path(part).unlink(missing_ok=True)


def _attempt(url: str, part: Path, size: int | None, progress: Progress, label: str) -> None:
    version = _read_version(part)
    start = part.stat().st_size if version else 0  # Without it, whose bytes these are is not known.
    headers = {"User-Agent": f"vidpose/{__version__}", "Accept-Encoding": "identity"}
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": version}
    try:
        response = _answer(urllib.request.Request(url, headers=headers))
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and start:  # All was there, or more than there is.
            _forget(part)
            raise _BrokenError("the site refuses to go on with a broken download") from error
        if 300 <= error.code < 400:  # Its reason is a text of several lines.
            raise DownloadError("the site redirects in a circle, or to no web address") from error
        raise DownloadError(f"the site answers {error.code} {error.reason}") from error
    # ValueError and OverflowError: the site redirects to an address that can be none.
    except (OSError, http.client.HTTPException, ValueError, OverflowError) as error:
        reason = " ".join(str(getattr(error, "reason", None) or error).split())
        raise DownloadError(f"the site cannot be reached ({reason})") from error
    with response:
        if start and not _continues(response.status, response.headers, start, version):
            start = 0
            if response.status == 206:
                _forget(part)
                raise _BrokenError("the site has another version by now")
        total = _total(response.headers, start)
        if total is not None and size is not None and total != size:
            raise DownloadError(f"the file there has {total} bytes, not {size}")
        if not start:
            _forget(part)  # before the new version is written, lest old bytes pass for its own
            _write_version(part, response.headers)
        end = size or total or LARGEST
        with open(part, "r+b") as stream:
            stream.seek(start)
            stream.truncate()
            length = None if total is None else total - start
            steps = None if length is None else -(-length // CHUNK_BYTES)
            for chunk in progress(_chunks(response, length), steps, label):
                if stream.tell() + len(chunk) > end:
                    _forget(part)
                    raise DownloadError(f"the file there is larger than {end} bytes")
                stream.write(chunk)
            came = stream.tell()
    if total is not None and came < total:
        raise _BrokenError(f"the connection broke after {came} of {total} bytes")
    if size is not None and came != size:
        _forget(part)
        raise DownloadError(f"the file there has {came} bytes, not {size}")


def _answer(request: urllib.request.Request) -> http.client.HTTPResponse:
    """The answer's head, after all redirects.

    urllib bounds the time to each byte only, so a thread waits for it. If the site sends its head
    byte by byte, the thread is abandoned.

    Raises:
        TimeoutError: there is none within twice `TIMEOUT_S`.
        Exception: what urllib raises.
    """
    answers: queue.SimpleQueue[http.client.HTTPResponse | Exception] = queue.SimpleQueue()
    given_up = threading.Event()

    def ask() -> None:
        try:
            response = urllib.request.urlopen(request, timeout=TIMEOUT_S)
        except Exception as error:
            answers.put(error)
            return
        answers.put(response)
        if given_up.is_set():
            response.close()

    threading.Thread(target=ask, name="fetch", daemon=True).start()
    try:
        answer = answers.get(timeout=2 * TIMEOUT_S)
    except BaseException as error:
        given_up.set()
        if not isinstance(error, queue.Empty):  # Ctrl-C
            raise
        raise TimeoutError(f"no answer within {2 * TIMEOUT_S:g} s") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _chunks(response: http.client.HTTPResponse, length: int | None) -> Iterator[bytes]:
    """Chunks until the end, or until the connection breaks: the caller counts the bytes.

    Args:
        response: the answer.
        length: bytes that it says to have, if it does; what comes after them is not read. Before
            Python 3.13 `read1` does not count them itself.
    """
    chunk = bytearray()
    begun, came = time.monotonic(), 0
    while True:
        wanted = CHUNK_BYTES - len(chunk)
        if length is not None:
            wanted = min(wanted, length)
        try:
            some = response.read1(wanted) if wanted else b""
        except (OSError, http.client.HTTPException):
            some = b""
        chunk += some
        came += len(some)
        if length is not None:
            length -= len(some)
        took = time.monotonic() - begun
        slow = took > TIMEOUT_S and came < took * SLOWEST_BYTES_S
        if chunk and (len(chunk) == CHUNK_BYTES or not some or slow):
            yield bytes(chunk)
            chunk.clear()
        if not some or slow:
            return
        if took > TIMEOUT_S:
            begun, came = time.monotonic(), 0


def _continues(status: int, headers: Message, start: int, version: str) -> bool:
    """Whether the answer goes on at byte `start` of the same version."""
    span = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", ""))
    same = _version(headers) in ("", version)
    return status == 206 and span is not None and int(span[1]) == start and same


def _total(headers: Message, start: int) -> int | None:
    """Bytes of the complete file, if the server says."""
    length = headers.get("Content-Length", "")
    return start + int(length) if re.fullmatch(r"[0-9]{1,15}", length) else None


def _version(headers: Message) -> str:
    """What tells this version of the file from another; empty if nothing does."""
    tag = str(headers.get("ETag", ""))
    # A weak tag says that two versions mean the same, not that their bytes are the same.
    return tag if tag and not tag.startswith("W/") else str(headers.get("Last-Modified", ""))


def _version_path(part: Path) -> Path:
    return part.with_name(f"{part.name}.version")


def _write_version(part: Path, headers: Message) -> None:
    with replacing(_version_path(part)) as temporary:
        temporary.write_text(_version(headers), "utf-8")


def _read_version(part: Path) -> str:
    return (small_text(_version_path(part)) or "").partition("\n")[0]


def _forget(part: Path) -> None:
    """Throw away what came; the file itself stays, as its lock is held."""
    _version_path(part).unlink(missing_ok=True)
    os.truncate(part, 0)
