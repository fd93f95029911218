"""What the pipeline checks: JSON against its schemas, and signatures."""

from vv_exporter.metrics import counter

SCHEMA_VALIDATIONS = counter(
    "vv_schema_validations_total",
    "JSON documents validated, by result: valid, invalid.",
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
