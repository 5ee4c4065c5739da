"""Download one large file over HTTP: in chunks, resumable, and never mixed from two versions.

The standard library's urllib has all that this needs (verified TLS, redirects, proxies from the
environment, timeouts), so that a single GET request needs no HTTP library.
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
"""Timeout of a connection, and of the next bytes of a download; the complete response headers may
take twice as long."""
SLOWEST_BYTES_S = 1000
"""A download that is slower than this for `TIMEOUT_S` counts as broken."""
ATTEMPTS = 3
"""Attempts per call after a broken connection; the next call resumes, too."""
LARGEST = 1_000_000_000
"""Maximum bytes, more than any weights have, so that an endless response cannot fill the disk."""


class DownloadError(Exception):
    """Why a download failed, as a clause for an error message."""


class _BrokenError(DownloadError):
    """The connection broke; the bytes received so far are valid."""


def download(url: str, part: Path, size: int | None, progress: Progress, label: str) -> None:
    """Download `url` to `part`, resuming after the bytes that `part` already has.

    The request to resume contains the ETag (or date) of the first bytes, which is stored next to
    `part`. A server that has another version by now, or does not support ranges, sends everything
    again.

    Args:
        url: http or https.
        part: file to write to; keeps the bytes received if the connection breaks.
        size: bytes, if known.
        progress: wraps the chunks of a megabyte.
        label: label of the progress.

    Raises:
        DownloadError: the site cannot be reached, has no such file, has a file of another size, or
            the connection keeps breaking.
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
    start = part.stat().st_size if version else 0  # Without a version, discard them.
    headers = {"User-Agent": f"vidpose/{__version__}", "Accept-Encoding": "identity"}
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": version}
    try:
        response = _answer(urllib.request.Request(url, headers=headers))
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and start:  # `part` is complete or too long.
            _forget(part)
            raise _BrokenError("the site refuses to resume the download") from error
        if 300 <= error.code < 400:  # Its reason has several lines.
            raise DownloadError("the site redirects in a circle, or to no web address") from error
        raise DownloadError(f"the site answers {error.code} {error.reason}") from error
    # ValueError and OverflowError: the site redirects to an invalid address.
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
            _forget(part)  # before writing the new version, so that old bytes never belong to it
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
    """The response, with its headers read, after all redirects.

    urllib limits only the time between bytes, so a thread waits for the headers, and is abandoned
    if the site sends them byte by byte.

    Raises:
        TimeoutError: there is no response within twice `TIMEOUT_S`.
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
    """Yield chunks until the end, or until the connection breaks; the caller counts the bytes.

    Args:
        response: the response.
        length: its content length, if given; later bytes are not read. Before Python 3.13, `read1`
            does not enforce it.
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
    """Whether the response resumes at byte `start` of the same version."""
    span = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", ""))
    same = _version(headers) in ("", version)
    return status == 206 and span is not None and int(span[1]) == start and same


def _total(headers: Message, start: int) -> int | None:
    """Size of the complete file in bytes, if the server gives it."""
    length = headers.get("Content-Length", "")
    return start + int(length) if re.fullmatch(r"[0-9]{1,15}", length) else None


def _version(headers: Message) -> str:
    """Identifier of this version of the file; empty if there is none."""
    tag = str(headers.get("ETag", ""))
    # A weak ETag does not guarantee equal bytes.
    return tag if tag and not tag.startswith("W/") else str(headers.get("Last-Modified", ""))


def _version_path(part: Path) -> Path:
    return part.with_name(f"{part.name}.version")


def _write_version(part: Path, headers: Message) -> None:
    with replacing(_version_path(part)) as temporary:
        temporary.write_text(_version(headers), "utf-8")


def _read_version(part: Path) -> str:
    return (small_text(_version_path(part)) or "").partition("\n")[0]


def _forget(part: Path) -> None:
    """Discard the bytes received; the file itself stays, because it is locked."""
    _version_path(part).unlink(missing_ok=True)
    os.truncate(part, 0)
