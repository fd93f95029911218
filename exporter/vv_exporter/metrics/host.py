"""The machine."""

from vv_exporter.metrics import counter, gauge

CPU_SECONDS = counter("vv_host_cpu_seconds_total", "Processor time by mode, all cores.", "mode")
CPU_COUNT = gauge("vv_host_cpu_count", "Logical processors.")
LOAD1 = gauge("vv_host_load1", "Load average over 1 minute.")
LOAD5 = gauge("vv_host_load5", "Load average over 5 minutes.")
LOAD15 = gauge("vv_host_load15", "Load average over 15 minutes.")
MEMORY_TOTAL = gauge("vv_host_memory_total_bytes", "Physical memory.")
MEMORY_AVAILABLE = gauge("vv_host_memory_available_bytes", "Memory that can be had without swapping.")
SWAP_TOTAL = gauge("vv_host_swap_total_bytes", "Swap space.")
SWAP_FREE = gauge("vv_host_swap_free_bytes", "Free swap space.")
TEMPERATURE = gauge("vv_host_temperature_celsius", "Temperature by sensor.", "chip", "sensor")
PRESSURE = counter(
    "vv_host_pressure_waiting_seconds_total",
    "Time in which some task waited for the resource (PSI).",
    "resource",
)
BOOTS = counter("vv_host_boots_total", "Starts of the machine since the exporter first ran on it.")
BOOT_TIME = gauge("vv_host_boot_time_seconds", "When the machine started.")
