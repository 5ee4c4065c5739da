"""Read binary formats in a separate process, so that a crash of a reader is only a file error.

One such process reads all files of a run. It starts with the first file and ends with this process,
and sends back only the bytes of plain arrays.
"""

from __future__ import annotations

import atexit
import json
import math
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

SECONDS, SECONDS_A_MEGABYTE = 10.0, 1.0
"""Time limit per file. An undamaged file of 100 MB takes two seconds."""
MEMORY, MEMORY_A_BYTE = 1 << 30, 20
"""Memory limit: a fixed number of bytes, plus this many for each byte of the file."""
_PACKAGES = Path(__file__).parents[2]
_START = "from vidpose.utils.formats import serve; serve()"


class UnreadableError(ValueError):
    """Why a file cannot be read, to complete "it cannot be read"."""


def read(format: str, path: Path, *names: str, seconds: float = SECONDS) -> dict[str, Any]:
    """Read variables of a file with one of `vidpose.utils.formats.READERS`.

    Args:
        format: name of the reader.
        path: the file.
        names: the variables to read.
        seconds: time limit for small files.

    Returns:
        Arrays by name; a MATLAB cell array is an object array of arrays.

    Raises:
        UnreadableError: the file is damaged: its reader fails, crashes, or takes too much time or
            memory.
        KeyError: it has no such variable.
        OSError: it cannot be opened.
    """
    size = path.stat().st_size
    limit = seconds + SECONDS_A_MEGABYTE * size / 1e6
    request = {
        "format": format,
        "path": str(path.absolute()),
        "names": names,
        "seconds": limit,
        "bytes": MEMORY + MEMORY_A_BYTE * size,
    }
    process = _process()
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.flush()
        head = json.loads(process.stdout.readline() or b"null")
        if head is None:
            raise EOFError
        if "values" in head:
            return {name: _value(about, process.stdout) for name, about in head["values"].items()}
    except (EOFError, OSError):
        raise UnreadableError(_why(_end(), limit)) from None
    except BaseException:  # Ctrl-C in the middle of an answer
        _end()
        raise
    if head["missing"] is not None:
        raise KeyError(head["missing"])
    raise UnreadableError(head["error"])


def _value(about: dict[str, Any], stream: IO[bytes]) -> NDArray[Any]:
    shape = tuple(about["shape"])
    if "cells" in about:
        cells = np.empty(len(about["cells"]), object)
        for n, cell in enumerate(about["cells"]):
            cells[n] = _value(cell, stream)
        return cells.reshape(shape)
    dtype = np.dtype(about["dtype"])
    raw = bytearray(math.prod(shape) * dtype.itemsize)
    view = memoryview(raw)
    while view.nbytes:
        count = stream.readinto(view)  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        view = view[count:]
    return np.frombuffer(raw, dtype).reshape(shape) if raw else np.empty(shape, dtype)


_running: subprocess.Popen[bytes] | None = None


def _process() -> subprocess.Popen[bytes]:
    """The reader process; starts it if necessary.

    Raises:
        RuntimeError: it does not start.
    """
    global _running
    if _running is not None and _running.poll() is None:
        return _running
    path = os.pathsep.join(filter(None, (str(_PACKAGES), os.environ.get("PYTHONPATH"))))
    # One BLAS thread, since each reserves memory, which is limited.
    settings = {"PYTHONPATH": path, "PYTHONSAFEPATH": "1", "OPENBLAS_NUM_THREADS": "1"}
    _running = subprocess.Popen(
        [sys.executable, "-c", _START],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=_PACKAGES,  # before Python 3.11, also a module search path
        env={**os.environ, **settings},
    )
    assert _running.stdout is not None
    if _running.stdout.readline() != b"ready\n":
        raise RuntimeError(f"the process that reads files did not start (exit code {_end()})")
    return _running


@atexit.register
def _end() -> int:
    """End the reader process, if there is one; return its exit code."""
    global _running
    if _running is None:
        return 0
    process, _running = _running, None
    for stream in (process.stdin, process.stdout):
        with suppress(OSError):
            if stream is not None:
                stream.close()
    try:
        return process.wait(timeout=1)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _why(code: int, limit: float) -> str:
    if code == 1:
        return f"reading it takes longer than {limit:.0f} s"
    if code == -9:  # killed by the system
        return "it takes more memory than there is"
    return "its reader crashes on it"
