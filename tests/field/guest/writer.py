"""On the device: raises critical alerts without end, and tells the emulator of each before and after.

What was told as returned is outside of the device, where no power cut reaches it. Between them it writes what may be
lost: heartbeats, which make files and transactions that a cut can tear.
"""

import time
from itertools import count

from vv_core.alerter import send_alert
from vv_core.jobs import heartbeat

PAUSE = 0.05  # seconds: the timeline keeps 300 entries of a kind at once

with open("/dev/virtio-ports/field.writer", "wb", buffering=0) as told:  # noqa: PTH123 - no file
    for number in count():
        told.write(b"begun %d\n" % number)
        send_alert("CRITICAL", f"cut {number}", "Written while the power goes.", "field")
        told.write(b"returned %d\n" % number)
        heartbeat("field")
        time.sleep(PAUSE)
