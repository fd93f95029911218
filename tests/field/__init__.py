"""A whole device in an emulator: Debian 13 with its own kernel, systemd, cgroup v2, Engine, clock, disks and power.

`make field`. Needs root on Debian: the disk is made once and kept in
`.vv/field`. Without KVM a boot takes about a minute and a half. docs/field.md says what is proven here.
"""
