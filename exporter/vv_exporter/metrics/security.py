"""What the pipeline checks: JSON against its schemas, and signatures."""

from vv_exporter.metrics import counter, gauge

SCHEMA_VALIDATIONS = counter(
    "vv_schema_validations_total",
    "JSON documents validated, by result: valid, invalid.",
    "schema",
    "component",
    "result",
)
SCHEMA_VALIDATIONS_RECENT = gauge(
    "vv_schema_validations_recent",
    "JSON documents found invalid within the last minute; no series where there was none.",
    "schema",
    "component",
    "result",
)
HMAC_OPERATIONS = counter(
    "vv_hmac_operations_total",
    "Signatures made (sign) and checked (verify), by result: ok, failed.",
    "operation",
    "component",
    "result",
)
HMAC_OPERATIONS_RECENT = gauge(
    "vv_hmac_operations_recent",
    "Signatures that failed within the last minute; no series where there was none.",
    "operation",
    "component",
    "result",
)
