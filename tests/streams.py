"""A loopback stream instead of a camera: MPEG-TS over TCP, with configurable faults."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def sending(content: bytes, *, hang: bool = False) -> Iterator[str]:
    """Send bytes to any client that connects to the address returned.

    Args:
        hang: keep the connection open and send nothing more, like an unplugged camera.
    """
    end = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                connection, _ = server.accept()
                with connection:
                    connection.sendall(content)
                    if hang:
                        end.wait()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        finally:
            end.set()
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            thread.join(5)


def nobody_listens() -> str:
    """An address that does not answer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"tcp://127.0.0.1:{server.getsockname()[1]}"
