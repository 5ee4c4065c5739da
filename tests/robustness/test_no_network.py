"""The suite has no network; see `no_network` in tests/conftest.py."""

import socket

import pytest


@pytest.mark.parametrize("address", [("192.0.2.1", 80), ("example.org", 80)])
def test_other_machines_cannot_be_reached(address: tuple[str, int]) -> None:
    with socket.socket() as outgoing:
        with pytest.raises(OSError, match="tests have no network"):
            outgoing.connect(address)
        assert outgoing.connect_ex(address) != 0


def test_this_machine_can_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=5).close()
