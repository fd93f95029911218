"""The dead man's switch: an outside check that complains when it no longer hears the Watchdog."""

from vv_exporter.render.channels import Channel

UNSET = (
    "DEADMAN_URL: is not set; when this device is off nobody learns of it; "
    "set it to the address of a dead man's switch elsewhere (docs/delivery.md)"
)

CHANNEL = Channel(
    title="dead man's switch",
    needs="DEADMAN_URL",
    secrets={"deadman-url": lambda settings: settings.deadman_url},
    configured=lambda settings: bool(settings.deadman_url),
)
