"""Chains of signed lines: how long they are, what is wrong with them; the age of keys."""

from vv_exporter.metrics import counter, gauge

CHAIN_LENGTH = gauge("vv_chain_length", "Number of the last line that was signed into the chain.", "chain")
CHAIN_BROKEN = gauge(
    "vv_chain_broken",
    "What the last verification of VV_CHAIN_LOGS found that no honest log has: lines missing, doubled, changed, …",
    "chain",
)
CHAIN_BREAKS = counter("vv_chain_breaks_total", "The same, each counted once, by what it is.", "chain", "reason")
CHAIN_LINES = gauge("vv_chain_lines", "Lines of the chain that the last verification found.", "chain")
CHAIN_OUTSIDE = counter(
    "vv_chain_outside_total", "Lines signed without a place in their chain, which could not be continued.", "chain"
)
CHAIN_OUTSIDE_AT = gauge(
    "vv_chain_outside_timestamp_seconds", "When such a line was last counted; absent where there was none.", "chain"
)
CHAIN_VERIFIED = gauge(
    "vv_chain_verified_timestamp_seconds",
    "When a verification of VV_CHAIN_LOGS last ended that could read every file and had every key; 0: never.",
)
KEY_CREATED = gauge(
    "vv_hmac_key_created_timestamp_seconds",
    "When the key's file was last written, of those of VV_HMAC_KEY_FILE and VV_HMAC_KEYS_DIR.",
    "key_id",
)
KEY_MAX_AGE = gauge("vv_threshold_hmac_key_age_seconds", "HmacKeyOld when the newest key is older than this.")
