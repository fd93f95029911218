"""Many devices: the centre's inventory and configuration, and what a device sends there."""
