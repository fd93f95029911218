"""What became of each camera's footage, second by second: received, recorded, analysed, summarised, signed, or missing.

`ledger` keeps the intervals, `states` what was known of the device and its DVRs meanwhile, `causes` makes of both why a
piece is missing. All times are milliseconds since 1970-01-01 UTC, as they stand on the footage: docs/footage.md.
"""
