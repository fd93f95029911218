"""The loop that proves that alerting works, and what is done while it is broken.

1. `beats`: each scrape shows a beat, the time of the scrape, as the value of a gauge.
2. The rule Watchdog quotes it, and Alertmanager delivers the Watchdog to the exporter's webhook.
3. `loop`: when no new beat has come back for `VV_ALERT_PATH_AFTER`, `questions` asks each server how far the beat gets,
   and `hops` (pure) says from the answers which hop is broken.
   Meanwhile `held` keeps what fires as it is.
4. `message`: people are told directly, once, and once when the loop is closed again.
5. `last_line`: meanwhile `conditions` finds the worst in the exporter's own series; it is announced in the `words` of
   its rule, and `direct_alerts` keeps Alertmanager from announcing it again.
6. `unwritten`: that the exporter cannot write to its disk is announced whether the path is whole or not.
7. `unseen`: what rules found and what had ended before it could be sent on is in the summary afterwards.

`unsaved` sends what cannot be written down.
"""
