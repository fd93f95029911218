"""A whole device in an emulator: Debian 13 with its own kernel, systemd, cgroup v2, Engine, clock and disks.

`make field`. Needs root on Debian: the disk is made once and kept in `.vv/field`. docs/field.md says what is proven.
"""
