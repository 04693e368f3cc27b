"""Ports for servers that tests start by themselves.

A server that can take whatever the system hands out asks for port 0 and needs none of these.
"""

from __future__ import annotations

import secrets
import socket
from contextlib import suppress

PORTS = range(20_000, 32_768)
"""Below those that a system hands out, which somebody else may get between choice and use."""


def free_port() -> int:
    """Return a port that nobody listens on, and that the system gives to nobody who asks for any."""
    while True:
        port = PORTS[secrets.randbelow(len(PORTS))]
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
