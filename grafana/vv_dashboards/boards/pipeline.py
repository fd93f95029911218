"""Stages, videos, and what the pipeline checks."""

from vv_dashboards import colours
from vv_dashboards.board import Board, Row
from vv_dashboards.panels import YES_NO, Column, Query, events, limit, lines, stat, states, table
from vv_dashboards.variables import several


def board() -> Board:
    """The dashboard."""
    return Board(
        name="pipeline",
        title="VV · Pipeline",
        answers=(
            """Are videos processed, how fast, and what fails? Stages, videos that wait or were given up, documents and
            signatures that were refused."""
        ),
        variables=(several("stage", "Stage", "vv_stage_running"),),
        rows=(_now(), _stages(), _videos(), _checks(), _details()),
    )


def _now() -> Row:
    return Row(
        "Now",
        (
            stat(
                "Runs in progress",
                """Runs of the chosen stages that go on now. None for long, while videos wait: see whether the
                orchestrator runs, with `vv status`.""",
                'sum(vv_stage_running{device="$device",stage=~"$stage"})',
            ),
            stat(
                "Runs past their limit",
                """Runs in progress that take longer than MAX_PROCESSING_TIME_… or `vv.yml` allows. Each holds up the
                videos behind it: find the video in `vv timeline`, and see what the machine is busy with.""",
                'sum(vv_stage_overdue{device="$device",stage=~"$stage"})',
                steps=colours.bad_from(1, colours.WARNING),
            ),
            stat(
                "Videos that wait",
                """Files in `input/` that no stage has taken. A few are normal; a number that only grows means that the
                device does not keep up.""",
                'sum(vv_backlog_videos{device="$device"})',
            ),
            stat(
                "Files in corrupted/",
                """Videos and documents that were put aside. They stay until somebody decides: `vv quarantine list`,
                then `show` or `release`.""",
                'sum(vv_quarantine_files{device="$device"})',
            ),
            stat(
                "Failed and crashed runs",
                """Within the time range, all chosen stages together. Red: the panels below tell which stage, the table
                of latest failures which video and why.""",
                """
                sum(increase(
                  vv_stage_duration_seconds_count{device="$device",stage=~"$stage",outcome!="success"}[$__range]
                ))
                """,
                steps=colours.bad_from(0.5),
            ),
            stat(
                "Since the last success",
                """How long ago any of the chosen stages finished with success. Long compared with how often videos
                come: nothing is being processed.""",
                'time() - max(vv_stage_last_success_timestamp_seconds{device="$device",stage=~"$stage"})',
                unit="s",
                none="never",
            ),
        ),
    )


def _stages() -> Row:
    return Row(
        "Stages",
        (
            events(
                "Runs by outcome",
                """How runs ended. *failure*: the script said so, with an exception or an exit code; *crashed*: it was
                killed, ran out of memory, or power was lost. Red bars: read the latest failures below, then the
                runbook. Several crashes at once point at the machine, not at a video.""",
                Query(
                    """
                    sum by (outcome) (
                      increase(vv_stage_duration_seconds_count{device="$device",stage=~"$stage"}[$__rate_interval])
                    )
                    """,
                    "{{outcome}}",
                ),
                coloured={"success": colours.GOOD, "failure": colours.WARNING, "crashed": colours.BAD},
                alerts=("StageFailing", "StageCrashed"),
            ),
            lines(
                "Share of the limit that is used",
                """Of the run in progress that has used most of its time limit, by stage. Above 1 it is overdue while
                it still runs; above the dashed line it counts as stuck. Look at its video and at the load of the
                machine, and end it by hand if it hangs.""",
                Query(
                    'max by (stage) (vv_stage_limit_used_ratio{device="$device",stage=~"$stage"})',
                    "{{stage}}",
                ),
                limit('max(vv_threshold_stage_stuck_ratio{device="$device"})', "stuck"),
                unit="percentunit",
                alerts=("StageStuck",),
            ),
            lines(
                "Duration of successful runs, p50 and p95",
                """Half of the runs, and 95 of 100, were at least this fast, estimated from a histogram. p95 near the
                dashed limit: the next long video will be overdue. Both rising: the machine is slower, or videos are
                longer.""",
                Query(
                    """
                    histogram_quantile(0.5, sum by (stage, le) (rate(
                      vv_stage_duration_seconds_bucket{device="$device",stage=~"$stage",outcome="success"}[$__rate_interval]
                    )))
                    """,
                    "{{stage}} p50",
                ),
                Query(
                    """
                    histogram_quantile(0.95, sum by (stage, le) (rate(
                      vv_stage_duration_seconds_bucket{device="$device",stage=~"$stage",outcome="success"}[$__rate_interval]
                    )))
                    """,
                    "{{stage}} p95",
                ),
                limit(
                    'max by (stage) (vv_threshold_stage_seconds{device="$device",stage=~"$stage"})', "{{stage}} limit"
                ),
                unit="s",
                interval="5m",
            ),
            lines(
                "Mean duration, last hour and usual",
                """The mean of the last hour against that of the day before, where there are enough runs to compare (5
                and 20). The alert comes at twice the usual and 10 s more, the dashed line. Look for what changed:
                videos, load, temperature, a new version.""",
                Query(
                    'stage:vv_stage_duration_seconds:mean1h{device="$device",stage=~"$stage"}', "{{stage}} last hour"
                ),
                Query('stage:vv_stage_duration_seconds:mean1d{device="$device",stage=~"$stage"}', "{{stage}} usual"),
                limit(
                    '2 * stage:vv_stage_duration_seconds:mean1d{device="$device",stage=~"$stage"} + 10',
                    "{{stage}} too slow",
                ),
                unit="s",
                alerts=("StageSlowerThanUsual",),
            ),
            states(
                "Overdue, by stage",
                """When which stage had a run past its limit. Always the same hour: something else needs the machine
                then.""",
                Query(
                    'max by (stage) (vv_stage_overdue{device="$device",stage=~"$stage"} > bool 0)',
                    "{{stage}}",
                ),
                words=YES_NO,
                alerts=("StageOverdue",),
                size=(24, 4),
            ),
        ),
    )


def _videos() -> Row:
    return Row(
        "Videos",
        (
            lines(
                "Videos that wait in input/",
                """Saw teeth are normal: videos come at once and go one by one. A floor that rises for an hour means
                that more comes than is processed; store less, or find out which stage became slow.""",
                Query('sum(vv_backlog_videos{device="$device"})', "waiting"),
                unit="short",
                alerts=("BacklogGrowing",),
                size=(8, 8),
            ),
            lines(
                "Age of the oldest video that waits",
                """Until the dashed line it may be waiting its turn. Beyond it, with no stage running, nothing
                processes videos: see whether cron and the orchestrator run.""",
                Query('time() - min(vv_backlog_oldest_timestamp_seconds{device="$device"})', "oldest"),
                limit('max(vv_threshold_pipeline_stalled_seconds{device="$device"})', "stalled"),
                unit="s",
                alerts=("PipelineStalled",),
                size=(8, 8),
            ),
            events(
                "Videos given up",
                """Videos that a stage gave up after the last attempt; they lie in `corrupted/` with the
                history of their failures. `vv quarantine show FILE` tells why; `release` gives new attempts once the
                cause is gone.""",
                Query(
                    """
                    sum by (stage) (
                      increase(vv_videos_exhausted_total{device="$device",stage=~"$stage"}[$__rate_interval])
                    )
                    """,
                    "{{stage}}",
                ),
                alerts=("VideoAttemptsExhausted",),
                size=(8, 8),
            ),
            lines(
                "Files in corrupted/ over time",
                """Five more within an hour have a cause in common: one camera, a full disk, a new version of a schema.
                See the reasons beside, and `vv quarantine list`. Files are never deleted by themselves.""",
                Query('sum(vv_quarantine_files{device="$device"})', "files"),
                unit="short",
                alerts=("QuarantineGrowing",),
                size=(8, 8),
            ),
            events(
                "Moved to corrupted/, by reason",
                """Why files were put aside. One reason in many files: a cause outside of the videos. The component is
                in `vv quarantine list`.""",
                Query(
                    'sum by (reason) (increase(vv_videos_quarantined_total{device="$device"}[$__rate_interval]))',
                    "{{reason}}",
                ),
                size=(8, 8),
            ),
            lines(
                "Size of corrupted/",
                """What the files that were put aside take of the video storage. Where it is a good part of the disk,
                decide about them: `vv quarantine list`.""",
                Query('sum(vv_quarantine_bytes{device="$device"})', "size"),
                unit="bytes",
                size=(8, 8),
            ),
        ),
    )


def _checks() -> Row:
    return Row(
        "Checks",
        (
            events(
                "Invalid documents",
                """JSON that did not satisfy its schema, by schema and script. After an update of a script or schema:
                they do not fit together. Else a broken input: path and value are in the latest failures.""",
                Query(
                    """
                    sum by (schema, component) (
                      increase(vv_schema_validations_total{device="$device",result="invalid"}[$__rate_interval])
                    )
                    """,
                    "{{schema}} · {{component}}",
                ),
                alerts=("SchemaValidationFailed",),
                size=(8, 8),
            ),
            events(
                "Failed signatures",
                """*sign*: log lines that could not be signed, so evidence is missing: look at the key's file.
                *verify*: lines that were changed, or signed with an unknown key: treat it as tampering until it is
                explained.""",
                Query(
                    """
                    sum by (operation, component) (
                      increase(vv_hmac_operations_total{device="$device",result="failed"}[$__rate_interval])
                    )
                    """,
                    "{{operation}} · {{component}}",
                ),
                alerts=("HmacSigningFailed", "HmacVerificationFailed"),
                size=(8, 8),
            ),
            events(
                "Unhandled exceptions and crashes",
                """Exceptions that no stage expected, by script and type: faults of the programs. The end of the
                traceback is in `vv timeline` and `app.log`. *crash*: the script was killed.""",
                Query(
                    """
                    sum by (component, exception) (
                      increase(vv_exceptions_unhandled_total{device="$device"}[$__rate_interval])
                    )
                    """,
                    "{{component}} · {{exception}}",
                ),
                Query(
                    'sum by (component) (increase(vv_script_crashes_total{device="$device"}[$__rate_interval]))',
                    "{{component}} · crash",
                ),
                alerts=("UnhandledException", "ScriptCrashed"),
                size=(8, 8),
            ),
            table(
                "Latest failures",
                """The latest of each component and kind, with the video and the error: start here. The alert id leads
                to the notification, the time to `vv timeline`.""",
                {
                    "component": "Component",
                    "kind": "Kind",
                    "video": "Video",
                    "error": "Error",
                    "alert_id": "Alert",
                },
                Column(
                    "Ago",
                    """
                    time() - max by (component, kind, video, error, alert_id) (
                      vv_last_failure_timestamp_seconds{device="$device"}
                      * on (device, component, kind) group_left (video, error, alert_id)
                        topk by (device, component, kind) (1, vv_last_failure_info{device="$device"})
                    )
                    """,
                    unit="s",
                    width=110,
                    first=True,
                ),
                sort="Ago",
                descending=False,
            ),
        ),
    )


def _details() -> Row:
    return Row(
        "In detail",
        (
            lines(
                "Broken chains",
                """What the last verification of each log of signed lines found that an unchanged log does not have:
                lines that are missing, doubled, out of order or changed. `vv chain verify` says which.""",
                Query('max by (chain) (vv_chain_broken{device="$device"})', "{{chain}}"),
                unit="short",
                alerts=("ChainBroken",),
                size=(12, 6),
            ),
            lines(
                "Age of the newest signing key",
                """Since the newest key was made, and when it is too old: whoever has read it since can sign.""",
                Query('time() - max(vv_hmac_key_created_timestamp_seconds{device="$device"})', "age"),
                limit('max(vv_threshold_hmac_key_age_seconds{device="$device"})', "too old"),
                unit="s",
                alerts=("HmacKeyOld",),
                size=(12, 6),
            ),
            lines(
                "Since a line was signed outside of its chain",
                """Each is signed; that none beside it was deleted cannot be proven. See whether the folder of chains
                can be written.""",
                Query('time() - max by (chain) (vv_chain_outside_timestamp_seconds{device="$device"})', "{{chain}}"),
                unit="s",
                alerts=("ChainLinesOutside",),
                size=(12, 6),
            ),
            lines(
                "Since the last complete verification of chains",
                """Logs of signed lines are verified hourly. Many hours: a log that cannot be read, or a key that
                lacks.""",
                Query('time() - max(vv_chain_verified_timestamp_seconds{device="$device"})', "age"),
                unit="s",
                alerts=("ChainUnverified",),
                size=(12, 6),
            ),
            table(
                "Each stage",
                """What is known of each stage. A success long ago and runs that fail: the stage is broken. No runs at
                all: nothing calls it.""",
                {"stage": "Stage"},
                Column("Running", 'sum by (stage) (vv_stage_running{device="$device",stage=~"$stage"})'),
                Column(
                    "Running for",
                    """
                    time() - min by (stage) (vv_stage_oldest_start_timestamp_seconds{device="$device",stage=~"$stage"})
                    """,
                    unit="s",
                ),
                Column(
                    "Overdue",
                    'sum by (stage) (vv_stage_overdue{device="$device",stage=~"$stage"})',
                    steps=colours.bad_from(1, colours.WARNING),
                ),
                Column(
                    "Runs in the range",
                    """
                    sum by (stage) (
                      increase(vv_stage_duration_seconds_count{device="$device",stage=~"$stage"}[$__range])
                    )
                    """,
                    decimals=0,
                ),
                Column(
                    "Failed",
                    """
                    sum by (stage) (increase(
                      vv_stage_duration_seconds_count{device="$device",stage=~"$stage",outcome!="success"}[$__range]
                    ))
                    """,
                    decimals=0,
                    steps=colours.bad_from(0.5),
                ),
                Column(
                    "Overruns",
                    'sum by (stage) (increase(vv_stage_overruns_total{device="$device",stage=~"$stage"}[$__range]))',
                    decimals=0,
                    steps=colours.bad_from(0.5, colours.WARNING),
                ),
                Column(
                    "Last success",
                    """
                    time() - max by (stage) (
                      vv_stage_last_success_timestamp_seconds{device="$device",stage=~"$stage"} > 0
                    )
                    """,
                    unit="s",
                ),
                sort="Failed",
                size=(24, 7),
            ),
            lines(
                "Processed videos per hour",
                """Successful runs by stage, as a rate. Stages that follow each other should go together; where one
                falls back, videos pile up before it.""",
                Query(
                    """
                    3600 * sum by (stage) (rate(
                      vv_stage_duration_seconds_count{device="$device",stage=~"$stage",outcome="success"}[$__rate_interval]
                    ))
                    """,
                    "{{stage}}",
                ),
                unit="short",
                interval="5m",
            ),
            events(
                "Exceptions",
                """All exceptions that stages failed with or that came to the last resort, by type. A new type after an
                update is a fault of it.""",
                Query(
                    'sum by (exception) (increase(vv_exceptions_total{device="$device"}[$__rate_interval]))',
                    "{{exception}}",
                ),
            ),
            events(
                "Documents validated",
                """How many documents each schema was applied to. None while stages run: validation was left out.""",
                Query(
                    """
                    sum by (schema, result) (increase(vv_schema_validations_total{device="$device"}[$__rate_interval]))
                    """,
                    "{{schema}} {{result}}",
                ),
                coloured={"invalid": colours.BAD},
            ),
            events(
                "Signatures made and checked",
                """None made while videos are processed: log lines are not signed. None checked: `logline_verifier`
                does not run, see the dashboard of jobs.""",
                Query(
                    """
                    sum by (operation, result) (increase(vv_hmac_operations_total{device="$device"}[$__rate_interval]))
                    """,
                    "{{operation}} {{result}}",
                ),
                coloured={"failed": colours.BAD, "sign ok": colours.NEUTRAL, "verify ok": colours.GOOD},
            ),
        ),
        collapsed=True,
    )
