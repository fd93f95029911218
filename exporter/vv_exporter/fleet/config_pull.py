"""Pulls the fleet's configuration from the centre, and has the exporter begin anew with it once it is kept.

1. The file is fetched (`config_fetch.py`), or was not changed since.
2. Its signature is checked, over the very bytes. Before that nothing of it is read.
3. The first release that is for this device is chosen (`config_document.py`). It must not be older than any that was
   taken: that is in the database as well, since what is kept may be damaged or gone.
4. All settings are loaded with it, as `vv config check` does: what may not come from here, or is wrong, refuses it.
5. It is written beside the exporter's database, whole and on the disk, before anything follows it.
6. The exporter ends its work and begins anew, as it does when an operator has edited vv.yml and restarts it.

Whatever fails before the end of 5 leaves what was there.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping

import msgspec

from vv_exporter.common.smallfiles import write_small
from vv_exporter.fleet.config_document import (
    Document,
    DocumentError,
    Release,
    choose_release,
    parse_document,
    split_signed,
)
from vv_exporter.fleet.config_fetch import AnswerError, Fetched, FetchError, fetch_file
from vv_exporter.fleet.ed25519 import OpensslError, verify
from vv_exporter.installation.rights import PRIVATE_FILE
from vv_exporter.language.sentences import sentence
from vv_exporter.metrics.fleet import UNREACHABLE
from vv_exporter.runtime.loop import NOT_WAITED_FOR, Loop
from vv_exporter.settings import Settings, SettingsError, load_with_fleet_config
from vv_exporter.settings.fleet_config import KeptConfig, kept_file, read_kept
from vv_exporter.state.failures import MAX_ERROR, Failure, remember, shorten
from vv_exporter.state.store import Kind, Store
from vv_exporter.state.timeline import Entry, add_to_timeline
from vv_exporter.status.fleet import FAILURE_KIND

log = logging.getLogger(__name__)

COMPONENT = "vv-exporter"
_JITTER = 0.1
_SHOWN_PROBLEMS = 3


class PullState(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why the last pull brought nothing; empty: it was good."""

    reason: str = ""
    details: str = ""


PULL_STATE: Kind[PullState] = Kind("fleet_config_pull", PullState)


class NewestTaken(msgspec.Struct, frozen=True):
    """The newest release that was taken here: no older one is taken, whatever becomes of the file that has it."""

    version: int = 0


NEWEST_TAKEN: Kind[NewestTaken] = Kind("fleet_config_newest", NewestTaken)


class RefusedError(Exception):
    """What the centre has is not taken. `reason` is one of `metrics.fleet.REFUSALS`."""

    def __init__(self, reason: str, details: object) -> None:
        self.reason = reason
        super().__init__(shorten(str(details), MAX_ERROR))


def check_newer(release: Release, kept: KeptConfig | None, newest: int) -> None:
    """Raises `RefusedError` for what was replaced already: somebody may have kept it, to send it again."""
    if release.version < newest:
        raise RefusedError("version", f"version {release.version} is older than {newest}, which was taken here")
    if kept is not None and release.version == kept.version and release.config != kept.config:
        raise RefusedError("version", f"version {release.version} is kept here already, with another text")


class ConfigPuller:
    """A service; see the module. `environ` is what the settings are of; `fetch` gets an address and an ETag."""

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        store: Store,
        clock: Callable[[], float],
        fetch: Callable[[str, str], Fetched | None] = fetch_file,
    ) -> None:
        self._settings, self._environ = settings, dict(environ)
        self._store, self._clock, self._fetch = store, clock, fetch
        self._begin_anew: Callable[[], None] = lambda: None
        self.good_at = 0.0
        """When a pull was last good (Unix seconds), since the start; 0: none was."""
        self._etag = ""
        self._document: Document | None = None  # the last that was signed well
        self._loop = Loop(
            "fleet-config",
            "the fleet's configuration",
            self.pull,
            self._interval,
            at_once=True,
            stop_seconds=NOT_WAITED_FOR,
        )

    @property
    def state(self) -> PullState:
        """How the last pull ended, also before a restart: which so ends no alert."""
        return self._store.document(PULL_STATE, "") or PullState()

    def when_taken(self, begin_anew: Callable[[], None]) -> None:
        """Have this called once something new is kept."""
        self._begin_anew = begin_anew

    def start(self) -> None:
        """Begin."""
        self._loop.start()

    def stop(self) -> None:
        """End."""
        self._loop.stop()

    def pull(self) -> None:
        """Pull once. Raises `StoreError` where the outcome cannot be noted."""
        try:
            taken = self._take_release()
        except RefusedError as error:
            self._note_refusal(error.reason, str(error))
            return
        try:
            self._note_good(taken)
        finally:
            if taken is not None:
                self._begin_anew()

    def _interval(self) -> float:
        return self._settings.fleet_config_interval * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - no secret

    def _take_release(self) -> Release | None:
        """Keep what is new for this device; None if there is nothing new. Raises `RefusedError`."""
        settings, kept = self._settings, read_kept(self._settings)
        labels = {"device": settings.device_id, "site": settings.site}
        newest = self._note_newest(kept.version if kept is not None else 0)
        release = choose_release(self._fetch_document(), labels, self._clock(), newest)
        if release is None:
            return None
        check_newer(release, kept, newest)
        new = KeptConfig(release.version, settings.fleet_config_key, release.config)
        if new == kept and settings.fleet_config_version == new.version:
            return None
        self._check_config(new)
        if new == kept:
            return None  # it did not go together with the settings at the start, and will at the next
        self._keep(new)
        return release

    def _note_newest(self, version: int) -> int:
        """The newest version that was taken here, with this one; noted where it is not yet."""
        noted = (self._store.document(NEWEST_TAKEN, "") or NewestTaken()).version
        if version > noted:
            with self._store.transaction() as tx:
                tx.put(NEWEST_TAKEN, "", NewestTaken(version))
        return max(version, noted)

    def _fetch_document(self) -> Document:
        try:
            fetched = self._fetch(self._settings.fleet_config_url, self._etag if self._document is not None else "")
        except FetchError as error:
            raise RefusedError(UNREACHABLE, error) from error
        except AnswerError as error:
            raise RefusedError("answer", error) from error
        if fetched is None and self._document is not None:
            return self._document
        self._document = None
        if fetched is None:
            raise RefusedError(UNREACHABLE, "the server says that nothing was changed, and has given nothing yet")
        self._document, self._etag = self._read_signed(fetched.file), fetched.etag
        return self._document

    def _read_signed(self, file: bytes) -> Document:
        try:
            signed = split_signed(file)
            if not verify(self._settings.fleet_config_key, *signed):
                raise RefusedError("signature", "it is not signed with the key of VV_FLEET_CONFIG_KEY, or was changed")
            return parse_document(signed.document)
        except DocumentError as error:
            raise RefusedError("format", error) from error
        except (OpensslError, OSError) as error:
            raise RefusedError("unverified", error) from error

    def _check_config(self, new: KeptConfig) -> None:
        try:
            load_with_fleet_config(self._environ, new)
        except SettingsError as error:
            more = len(error.problems) - _SHOWN_PROBLEMS
            shown = "; ".join(error.problems[:_SHOWN_PROBLEMS]) + (f" (and {more} more)" if more > 0 else "")
            raise RefusedError("config", f"version {new.version}: {shown}") from error

    def _keep(self, new: KeptConfig) -> None:
        try:
            write_small(kept_file(self._settings), msgspec.json.encode(new), PRIVATE_FILE, lasting=True)
        except OSError as error:
            raise RefusedError("disk", f"version {new.version} cannot be written: {error.strerror}") from error

    def _note_refusal(self, reason: str, details: str) -> None:
        """A line of the timeline when it begins, or is another one. A link that goes down ends no refusal."""
        with self._store.transaction() as tx:
            state, known = PullState(reason, details), tx.get(PULL_STATE, "") or PullState()
            if known == state or (reason == UNREACHABLE and known.reason not in ("", UNREACHABLE)):
                return
            tx.put(PULL_STATE, "", state)
            remember(tx, Failure(COMPONENT, f"{FAILURE_KIND}:{reason}", tx.now, error=details))
            if reason != UNREACHABLE:  # a link may be down for days, and nothing was refused
                title = sentence("The fleet's configuration was refused ({reason})", reason=reason)
                add_to_timeline(tx, tx.now, Entry("fleet_config.refused", title, "warning", COMPONENT, details))
        log.warning("the fleet's configuration: nothing is taken (%s): %s", reason, details)

    def _note_good(self, taken: Release | None) -> None:
        self.good_at = self._clock()
        if taken is None and not self.state.reason:
            return  # without a write to the disk every few minutes
        with self._store.transaction() as tx:
            tx.put(PULL_STATE, "", PullState())
            if taken is not None:
                tx.put(NEWEST_TAKEN, "", NewestTaken(taken.version))
                title = sentence("The fleet's configuration was taken: version {version}", version=taken.version)
                add_to_timeline(tx, tx.now, Entry("fleet_config.taken", title, "info", COMPONENT))
        if taken is not None:
            log.info("the fleet's configuration: version %s was taken; restarting with it", taken.version)
