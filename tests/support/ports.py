"""Free ports of the loopback interface."""

import itertools
import os
import random
import socket

# Below those that the kernel gives to whoever asks for any (ip_local_port_range).
_FIRST, _END = 20_000, 32_000
_RUNS = 3  # of pytest at once: VV_TEST_RUN is 0, 1 (`make test`) or 2 (.ci/run)


def _own_ports() -> list[int]:
    """Those of this process of the tests: others, which run beside it, choose among others."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = _FIRST + _RUNS * worker + int(os.environ.get("VV_TEST_RUN", "0"))
    ports = list(range(first, _END, _RUNS * int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))))
    random.SystemRandom().shuffle(ports)  # somebody may run the tests twice
    return ports


_ports = itertools.cycle(_own_ports())  # one that was given is not given again before its user has had time to take it


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now, and that no other test will be given soon."""
    while True:
        port = next(_ports)
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
