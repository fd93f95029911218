"""Packages from Debian's archive, fetched and verified by apt, without touching the system.

Apt has a configuration of ours, and keeps its state, lists, cache and sources in a folder of ours: nothing is
installed, nothing outside that folder is written, and no root is needed. Of the machine's configuration it has what
says how mirrors are reached (proxies, certificates, passwords), and nothing else: there, the check of signatures may be
switched off, programs may be named that run before and after, and others that check. Signatures and hashes are checked.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from vv_exporter.stack.progress import Step, last_lines, run

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
RECENT = "forky"
"""The release of Debian that has recent enough servers; its programs need libc 2.34, which Debian 12 has."""

# APT_CONFIG names it: apt reads it before all others, and learns from it that there are none.
_CONFIGURATION = """
Dir::Etc::Main "/dev/null";
Dir::Etc::Parts "/dev/null";
Dir::State "{home}/state";
Dir::State::status "{status}";
Dir::Cache "{home}/cache";
Dir::Log "{home}/log";
{sources}
APT::Sandbox::User "root";
APT::Default-Release "";
APT::Install-Recommends "false";
Debug::NoLocking "true";
Acquire::Retries "3";
Acquire::Languages "none";
{reach}
"""
# Said on the command line, which apt reads last, whatever else it may come to read. apt.conf(5), apt-secure(8)
_VERIFIED = {
    "APT::Get::AllowUnauthenticated": "false",
    "APT::Get::Allow-Downgrades": "false",
    "APT::Get::Force-Yes": "false",
    "Acquire::AllowInsecureRepositories": "false",
    "Acquire::AllowWeakRepositories": "false",
    "Acquire::AllowDowngradeToInsecureRepositories": "false",
}
_REACH = re.compile(
    r"Acquire::(?:(?:http|https|ftp|socks5h)::(?:Proxy|CaInfo|CaPath|SslCert|SslKey|IssuerCert|User-Agent|Timeout)"
    r'|(?:http|https)::Proxy-?Auto-?Detect|ForceIPv[46]|Check-Valid-Until|Check-Date)(?:::[A-Za-z0-9.-]+)? "[^"]*";',
    re.IGNORECASE,
)
"""What is taken over of the machine's configuration, as `apt-config dump` writes it: how mirrors are reached, and
whether a list may be old, as it is where the mirror is a snapshot. Neither touches signatures and hashes."""
_OWN_SOURCES = """
Dir::Etc::SourceList "/dev/null";
Dir::Etc::SourceParts "{home}/sources";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
"""
_SOURCE = """Types: deb
URIs: {mirror}
Suites: {suite}
Components: main
Targets: Packages
Signed-By: {keyring}
"""


class AptError(Exception):
    """Something could not be had from the archive; the message is one line for people."""


def mirrors() -> list[str]:
    """The Debian mirrors that this machine's own apt sources name (`VV_DEBIAN_MIRROR` goes before them).

    Raises `AptError` where there is no apt, no Debian keyring or no mirror.
    """
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise AptError("this is no Debian machine (there is no apt-get)")
    if not KEYRING.exists():
        raise AptError(f"Debian's keyring {KEYRING} is missing (package debian-archive-keyring)")
    own = os.environ.get("VV_DEBIAN_MIRROR")
    found = parse_targets(_index_targets(), codename())
    if own:
        found.insert(0, own)
    if not found:
        raise AptError("this machine's apt sources name no Debian mirror (VV_DEBIAN_MIRROR=URL names one)")
    return list(dict.fromkeys(found))


def parse_targets(listing: str, codename: str) -> list[str]:
    """The mirrors in the output of `apt-get indextargets`, one `URI|release|component` a line.

    Security archives, media and other people's archives do not carry a whole release: they are left out.
    """
    releases = {codename, f"{codename}-updates", "stable", "oldstable", "testing", "unstable", "sid"} - {""}
    found = []
    for line in listing.splitlines():
        uri, _, rest = line.partition("|")
        release, _, component = rest.partition("|")
        if release in releases and component == "main" and not uri.startswith("cdrom:"):
            found.append(uri)
    return list(dict.fromkeys(found))


def _index_targets() -> str:
    command = ["apt-get", "--no-release-info", "indextargets"]
    command += ["--format", "$(REPO_URI)|$(RELEASE)|$(COMPONENT)", "Identifier: Packages"]
    command += ["-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache="]  # root would write the system's
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def codename() -> str:
    """This machine's release of Debian, "" if it does not say."""
    try:
        text = Path("/etc/os-release").read_text()
    except OSError:
        return ""
    match = re.search(r'^VERSION_CODENAME="?([a-z]+)', text, re.MULTILINE)
    return match[1] if match else ""


class Apt:
    """An apt of our own below `home`."""

    def __init__(self, home: Path, *, mirror: str | None = None, suite: str = RECENT) -> None:
        """With `mirror`, packages come from `suite` on that mirror and nothing counts as installed; without,
        they come from the machine's own sources and what is installed counts."""
        self._home = home
        for folder in ("state/lists/partial", "cache/archives/partial", "log", "sources"):
            (home / folder).mkdir(parents=True, exist_ok=True)
        (home / "none-installed").touch()
        sources = ""
        if mirror is not None:
            sources = _OWN_SOURCES.format(home=home)
            source = _SOURCE.format(mirror=mirror, suite=suite, keyring=KEYRING)
            (home / "sources" / "vv.sources").write_text(source)
        status = home / "none-installed" if mirror else "/var/lib/dpkg/status"
        self._configuration = home / "apt.conf"
        self._configuration.write_text(
            _CONFIGURATION.format(home=home, status=status, sources=sources, reach=_machines_reach())
        )

    def update(self, shown: Step) -> None:
        """Fetch the package lists. Raises `AptError`."""
        self._run_apt(["update", "-o", "APT::Update::Error-Mode=any"], shown, self._home)

    def download(self, packages: Sequence[str], into: Path, shown: Step) -> list[Path]:
        """Fetch just these packages. Raises `AptError`."""
        into.mkdir(parents=True, exist_ok=True)
        self._run_apt(["download", *packages], shown, into)
        return sorted(into.glob("*.deb"))

    def download_with_dependencies(self, packages: Sequence[str], shown: Step) -> list[Path]:
        """Fetch these packages and what they need that this machine has not. Raises `AptError`."""
        archives = self._home / "cache" / "archives"
        for old in archives.glob("*.deb"):
            old.unlink()
        options = ["--yes", "--download-only", "-o", "APT::Keep-Downloaded-Packages=true"]
        self._run_apt(["install", *options, *packages], shown, self._home)
        return sorted(archives.glob("*.deb"))

    def _run_apt(self, arguments: Sequence[str], shown: Step, cwd: Path) -> None:
        log = self._home / "log" / f"{arguments[0]}.log"
        status_read, status_write = os.pipe()
        options = [f"{name}={value}" for name, value in {**_VERIFIED, "APT::Status-Fd": status_write}.items()]
        command = ["apt-get", "-q", *(part for option in options for part in ("-o", option)), *arguments]
        environment = os.environ | {
            "APT_CONFIG": str(self._configuration),
            "LC_ALL": "C",
            "DEBIAN_FRONTEND": "noninteractive",
        }
        with log.open("wb") as output, os.fdopen(status_read, "rb") as status:
            process = subprocess.Popen(
                command,
                cwd=cwd,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=(status_write,),
            )
            os.close(status_write)
            try:
                for line in status:
                    shown.update(_percent_text(line))
                process.wait()
            except BaseException:
                process.terminate()
                process.wait()
                raise
        if process.returncode != 0:
            raise AptError(_reason_in_log(log))


def recent_apt(work: Path, shown: Step) -> Apt:
    """An apt with the package lists of the recent release, from the first mirror that serves it."""
    failures = []
    for number, mirror in enumerate(mirrors()):
        apt = Apt(work / f"apt{number}", mirror=mirror)
        try:
            apt.update(shown)
        except AptError as error:
            failures.append(str(error))
        else:
            return apt
    raise AptError(failures[0])


def _machines_reach() -> str:
    """How this machine gets to its mirrors, as lines of a configuration."""
    done = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False)
    return "\n".join(line for line in done.stdout.splitlines() if _REACH.fullmatch(line))


def _percent_text(status_line: bytes) -> str:
    """`dlstatus:1:42.3:Retrieving file` is apt's way to say how far a download is."""
    fields = status_line.split(b":")
    if fields[0] != b"dlstatus" or len(fields) < 3:
        return ""
    return f"{float(fields[2]):.0f} %"


def _reason_in_log(log: Path) -> str:
    errors = re.findall(r"^[EW]: (.+)", log.read_text(errors="replace"), re.MULTILINE)
    return errors[0] if errors else last_lines(log, 1).strip()


def extract(packages: Iterable[Path], into: Path, shown: Step) -> None:
    """Unpack packages into a folder; no script of theirs is run. Raises `CommandError`."""
    into.mkdir(parents=True, exist_ok=True)
    for package in packages:
        run(["dpkg-deb", "-x", str(package), str(into)], shown, into.with_suffix(".log"))
