"""Drills: a harmless alert goes the whole way of a real one, and each channel that takes it is proven.

1. `request`: `vv drill`, or `VV_DRILL_AT`, writes the event `drill` into the journal.
2. `journal/folds/drills.py` counts it: `plan` says which channels must take it, `state` keeps it.
3. While it lasts, a series says so: the rule Drill fires by it, and Alertmanager sends it by its severity's routes.
4. Alertmanager reports what each channel took (`delivery/notificationevents.py`), the generic webhook's outbox what
   that took: such a channel is proven. What was sent and not taken is not.
5. `alert_path/drill_worker.py` ends it when every channel has answered or the time is over, with a reason for each that
   did not (`alert_path/drill_reasons.py`).
"""
