"""Disks and the machine."""

from vv_dashboards import colours
from vv_dashboards.board import Board, Row
from vv_dashboards.panels import YES_NO, Column, Query, limit, lines, stat, states, table
from vv_dashboards.variables import several


def board() -> Board:
    """The dashboard."""
    return Board(
        name="host",
        title="VV · Storage and host",
        answers="How long does the disk last, is recording paused, and is the machine itself all right?",
        variables=(several("role", "File system", "vv_filesystem_free_bytes"),),
        rows=(_now(), _storage(), _host(), _details()),
    )


def _now() -> Row:
    return Row(
        "Now",
        (
            stat(
                "Free, least",
                """The share that is free of the chosen file system that is fullest. Under the device's thresholds it
                is alerted; delete or move away old videos, oldest first.""",
                'min(path:vv_filesystem_free:ratio{device="$device",role=~"$role"})',
                unit="percentunit",
                steps=colours.falling(0.1, 0.2),
            ),
            stat(
                "Full in",
                """When the first of the chosen file systems is full if the last hour goes on like this. Less than a
                day: make room before the night.""",
                'min(path:vv_filesystem_full:seconds{device="$device",role=~"$role"})',
                unit="s",
                none="not filling",
                steps=colours.falling(21600, 86400),
            ),
            stat(
                "Recording",
                """Whether `agent_dvr` may store new video. PAUSED: the video storage is critically full, and what the
                cameras see is lost; it goes on by itself when there is room.""",
                'max(vv_ingest_paused{device="$device"})',
                unit="none",
                words={0: ("allowed", colours.GOOD), 1: ("PAUSED", colours.BAD)},
            ),
            stat(
                "Processor in use",
                """Of all cores, in the last minutes. Near 100 % for long, stages become overdue: see what is at work
                with `top`.""",
                """
                1 - sum(rate(vv_host_cpu_seconds_total{device="$device",mode=~"idle|iowait"}[$__rate_interval]))
                / sum(rate(vv_host_cpu_seconds_total{device="$device"}[$__rate_interval]))
                """,
                unit="percentunit",
                steps=colours.rising(0.8, 0.95),
            ),
            stat(
                "Memory in use",
                """What cannot be had without swapping. Near 100 % the kernel ends processes: see who has it with `ps
                aux --sort=-rss`.""",
                """
                1 - max(vv_host_memory_available_bytes{device="$device"})
                / max(vv_host_memory_total_bytes{device="$device"})
                """,
                unit="percentunit",
                steps=colours.rising(0.8, 0.95),
            ),
            stat(
                "Up for",
                """Since the machine started. Short, and nobody restarted it: power, or a kernel that crashed;
                `journalctl --boot=-1 --lines 50`.""",
                'time() - max(vv_host_boot_time_seconds{device="$device"})',
                unit="s",
            ),
        ),
    )


def _storage() -> Row:
    return Row(
        "Storage",
        (
            lines(
                "Free space, share",
                """Of what a normal user can write, against the device's thresholds. Below the dashed lines, or those
                in bytes beside, it is alerted. See whether the clean-up job runs, then delete old videos, oldest
                first.""",
                Query(
                    'min by (role, path) (path:vv_filesystem_free:ratio{device="$device",role=~"$role"})',
                    "{{role}} {{path}}",
                ),
                limit(
                    """
                    max by (role, severity) (
                      vv_threshold_filesystem_free_ratio{device="$device",role=~"$role"} > 0
                    )
                    """,
                    "{{role}} {{severity}}",
                ),
                unit="percentunit",
                alerts=("DiskSpaceLow", "DiskSpaceCritical"),
            ),
            lines(
                "Free space",
                """The same in bytes: on a large disk the share alone says little. The slope is how fast it fills up;
                saw teeth are the clean-up job at work.""",
                Query(
                    'min by (role, path) (vv_filesystem_free_bytes{device="$device",role=~"$role"})',
                    "{{role}} {{path}}",
                ),
                limit(
                    """
                    max by (role, severity) (
                      vv_threshold_filesystem_free_bytes{device="$device",role=~"$role"} > 0
                    )
                    """,
                    "{{role}} {{severity}}",
                ),
                unit="bytes",
            ),
            lines(
                "Time until full",
                """Free space over the speed at which it shrank in the last hour; no line where it grows. Less than a
                day: make room now, or record less.""",
                Query(
                    'path:vv_filesystem_full:seconds{device="$device",role=~"$role"} < 30 * 86400',
                    "{{role}} {{path}}",
                ),
                limit('max(vv_threshold_filesystem_full_seconds{device="$device"})', "too soon"),
                unit="s",
                alerts=("DiskFillingUp",),
                size=(8, 8),
            ),
            states(
                "Readable and writable",
                """Whether each file system could be read and written in time. FAILED: a broken disk, a network mount
                that hangs, a disk that is not mounted or another one, or no permission; `dmesg --level=err | tail`.""",
                Query(
                    'min by (role, path) (vv_filesystem_probe_success{device="$device",role=~"$role"})',
                    "{{role}} {{path}}",
                ),
                words={1: ("works", colours.GOOD), 0: ("FAILED", colours.BAD)},
                alerts=("StorageUnavailable",),
                size=(8, 8),
            ),
            states(
                "Mounted read-only",
                """The kernel remounts a file system read-only when its disk reports errors: nothing is recorded any
                more. Look for them with `dmesg`, and plan to replace the disk.""",
                Query(
                    'max by (role, path) (vv_filesystem_readonly{device="$device",role=~"$role"})', "{{role}} {{path}}"
                ),
                words=YES_NO,
                alerts=("FilesystemReadOnly",),
                size=(8, 8),
            ),
            states(
                "Recording paused",
                """When the agent was told to store no new video, because the video storage was critically full. What
                cameras saw in these times is lost.""",
                Query('max(vv_ingest_paused{device="$device"})', "paused"),
                words=YES_NO,
                alerts=("IngestPaused",),
                size=(8, 6),
            ),
            states(
                "The right disk is there",
                """Whether the file system is the one that was there before, or that /etc/fstab names. MISSING: a disk
                that is not mounted, or another one; nothing is to be stored there.""",
                Query(
                    'max by (role, path) (vv_filesystem_missing{device="$device",role=~"$role"})', "{{role}} {{path}}"
                ),
                words={0: ("there", colours.GOOD), 1: ("MISSING", colours.BAD)},
                alerts=("StorageMissing",),
                size=(8, 6),
            ),
            lines(
                "Free inodes, share",
                """How many more files there can be. At 0 nothing can be written, although there is space: find the
                folder with very many small files. No line where the file system has no such bound.""",
                Query('path:vv_filesystem_inodes_free:ratio{device="$device",role=~"$role"}', "{{role}} {{path}}"),
                limit('max(vv_threshold_filesystem_inodes_free_ratio{device="$device"})', "too few"),
                unit="percentunit",
                alerts=("InodesLow",),
                size=(8, 6),
            ),
        ),
    )


def _host() -> Row:
    return Row(
        "Host",
        (
            lines(
                "Processor",
                """Share of all cores that is used, against the threshold of this device. Analysing video is hard work:
                only what lasts for a quarter of an hour is alerted. What kind of work it is stands below, in
                detail.""",
                Query('device:vv_host_cpu:ratio5m{device="$device"}', "in use"),
                limit('max(vv_threshold_cpu_ratio{device="$device",scope="host"})', "too high"),
                unit="percentunit",
                alerts=("HostHighCpu",),
            ),
            lines(
                "Memory",
                """Share that cannot be had without swapping, and swap in use, against the threshold of this device.
                Both high: the machine is slow, and processes will be killed.""",
                Query('device:vv_host_memory:ratio{device="$device"}', "memory"),
                Query(
                    """
                    1 - max(vv_host_swap_free_bytes{device="$device"})
                    / max(vv_host_swap_total_bytes{device="$device"} > 0)
                    """,
                    "swap",
                ),
                limit('max(vv_threshold_memory_ratio{device="$device",scope="host"})', "too high"),
                unit="percentunit",
                alerts=("HostHighMemory",),
            ),
            lines(
                "Load",
                """Processes that run or want to, averaged. Above the dashed line, the number of processors, they wait
                for each other, or for the disk.""",
                Query('max(vv_host_load1{device="$device"})', "1 min"),
                Query('max(vv_host_load5{device="$device"})', "5 min"),
                Query('max(vv_host_load15{device="$device"})', "15 min"),
                limit('max(vv_host_cpu_count{device="$device"})', "processors"),
                unit="short",
            ),
            lines(
                "Temperature",
                """By sensor. Hot processors slow themselves down, and stages become overdue: see fans, dust and sun.
                No line where the machine tells none.""",
                Query('max by (chip, sensor) (vv_host_temperature_celsius{device="$device"})', "{{chip}} {{sensor}}"),
                limit('max(vv_threshold_temperature_celsius{device="$device"})', "too hot"),
                unit="celsius",
                alerts=("HostOverheating",),
            ),
            lines(
                "Since the machine started",
                """Falls to 0 when it starts. Starts that nobody asked for: power, a watchdog, or a kernel that
                crashed; the log of before is in `journalctl --boot=-1`.""",
                Query('time() - max(vv_host_boot_time_seconds{device="$device"})', "up for"),
                unit="s",
                alerts=("HostRebooted",),
            ),
            lines(
                "Starts of the machine",
                """As the exporter counts them, whatever the clock shows. Three within an hour are no accident: power,
                heat, a watchdog.""",
                Query(
                    'max(increase(vv_host_boots_total{device="$device"}[$__rate_interval]))',
                    "starts",
                ),
                unit="short",
                alerts=("HostRebooting",),
            ),
        ),
    )


def _details() -> Row:
    return Row(
        "In detail",
        (
            lines(
                "Processor, by kind of work",
                """Share of all cores. Much *iowait*: the disk is the bottle neck; much *steal*: another virtual
                machine takes the time.""",
                Query(
                    """
                    sum by (mode) (rate(vv_host_cpu_seconds_total{device="$device",mode!="idle"}[$__rate_interval]))
                    / ignoring (mode) group_left () sum(vv_host_cpu_count{device="$device"})
                    """,
                    "{{mode}}",
                ),
                unit="percentunit",
                size=(8, 8),
            ),
            lines(
                "Waiting for resources",
                """Share of the time in which some process had to wait (Linux' pressure). *io* high: the disk; *memory*
                high: it swaps; *cpu* high: too much to do. No line on kernels that do not tell.""",
                Query(
                    """
                    sum by (resource) (rate(vv_host_pressure_waiting_seconds_total{device="$device"}[$__rate_interval]))
                    """,
                    "{{resource}}",
                ),
                unit="percentunit",
                size=(8, 8),
            ),
            lines(
                "Duration of the storage's probe",
                """How long it took to write, read and delete a small file. Seconds: the disk is overloaded, failing,
                or a network mount is slow.""",
                Query(
                    'max by (role, path) (vv_filesystem_probe_duration_seconds{device="$device",role=~"$role"})',
                    "{{role}} {{path}}",
                ),
                unit="s",
                size=(8, 8),
            ),
            table(
                "Each file system",
                """Sizes and what is left. Two with the same path and free space are one disk: the videos and the
                system share it, and a full disk stops both.""",
                {"role": "File system", "path": "Path"},
                Column(
                    "Size",
                    'max by (role, path) (vv_filesystem_size_bytes{device="$device",role=~"$role"})',
                    unit="bytes",
                ),
                Column(
                    "Free",
                    'min by (role, path) (vv_filesystem_free_bytes{device="$device",role=~"$role"})',
                    unit="bytes",
                ),
                Column(
                    "Free share",
                    'min by (role, path) (path:vv_filesystem_free:ratio{device="$device",role=~"$role"})',
                    unit="percentunit",
                    steps=colours.falling(0.1, 0.2),
                ),
                Column(
                    "Free inodes",
                    'min by (role, path) (vv_filesystem_inodes_free{device="$device",role=~"$role"})',
                ),
                sort="Free share",
                descending=False,
                size=(24, 6),
            ),
        ),
        collapsed=True,
    )
