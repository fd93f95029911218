"""Free ports of the loopback interface."""

import random
import socket

# Below those that the kernel gives to whoever asks for any (ip_local_port_range): nobody else takes one meanwhile.
_PORTS = range(20_000, 32_000)
_random = random.SystemRandom()  # other processes of the tests choose, too


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now."""
    while True:
        port = _random.choice(_PORTS)
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
