"""On the device: does what comes in at a port of the emulator, one request a line, and answers each.

`{"id": 1, "command": "uptime", "timeout": 60}` runs a shell command as root; `{"id": 2, "get": "/metrics"}` asks the
exporter, without a process, which takes seconds in an emulator.
"""

import json
import subprocess
import time
import urllib.request

PORT = "/dev/virtio-ports/field.agent"
EXPORTER = "http://127.0.0.1:19461"


def run(command, timeout):
    try:
        done = subprocess.run(
            ["bash", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        return {"code": -1, "output": f"timed out: {error.stdout!r}"}
    return {"code": done.returncode, "output": done.stdout.decode(errors="replace")}


def get(path):
    try:
        with urllib.request.urlopen(EXPORTER + path, timeout=30) as answer:
            return {"code": 0, "output": answer.read().decode()}
    except OSError as error:  # also what HTTP calls an error
        return {"code": 1, "output": str(error)}


with open(PORT, "r+b", buffering=0) as port:  # noqa: PTH123 - no file
    while True:
        line = port.readline()
        if not line:  # nobody is connected
            time.sleep(0.2)
            continue
        asked = json.loads(line)
        answer = get(asked["get"]) if "get" in asked else run(asked["command"], asked["timeout"])
        line = json.dumps({"id": asked["id"], **answer}).encode() + b"\n"
        while line:  # the port takes 32 KiB at once, which /metrics may exceed
            line = line[port.write(line) :]
