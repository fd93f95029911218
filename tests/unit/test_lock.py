"""The lock files hold what pyproject.toml asks for, whole; `make lock` writes them."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import bootstrap
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

CHECKOUT = Path(__file__).parents[2]
NAMES = ("build", "exporter", "demo", "dev")


def wanted(name: str) -> list[Requirement]:
    document = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    extras = document["project"]["optional-dependencies"]
    texts = {
        "build": document["build-system"]["requires"],
        "exporter": document["project"]["dependencies"] + extras["exporter"],
        "demo": extras["demo"],
        "dev": extras["dev"],
    }[name]
    return [Requirement(text) for text in texts]


def locked(name: str) -> dict[str, Version]:
    text = (CHECKOUT / "exporter" / "requirements" / f"{name}.txt").read_text()
    return {canonicalize_name(found[1]): Version(found[2]) for found in re.finditer(r"^([\w.-]+)==(\S+)", text, re.M)}


@pytest.mark.parametrize("name", NAMES)
def test_what_is_asked_for_is_locked_in_a_version_that_fits(name: str) -> None:
    versions = locked(name)

    for requirement in wanted(name):
        assert versions[canonicalize_name(requirement.name)] in requirement.specifier, f"{requirement}: run make lock"


@pytest.mark.parametrize("name", NAMES)
def test_what_the_locked_packages_need_is_locked_too(name: str) -> None:
    versions = locked(name)
    missing = []
    for package in versions:
        try:
            needs = metadata.requires(package) or []
        except metadata.PackageNotFoundError:  # for another system, or for builds alone
            continue
        for need in map(Requirement, needs):
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                missing += [f"{package} needs {need}"] if canonicalize_name(need.name) not in versions else []

    assert missing == []


@pytest.mark.parametrize("name", NAMES)
def test_each_has_hashes_and_names_no_index(name: str) -> None:
    text = (CHECKOUT / "exporter" / "requirements" / f"{name}.txt").read_text()

    assert "://" not in text
    assert all("--hash=sha256:" in part for part in re.split(r"^(?=[\w.-]+==)", text, flags=re.M)[1:])


def test_what_several_files_have_they_have_in_one_version() -> None:
    """A checkout's environment is made from all of them together."""
    versions: dict[str, set[Version]] = {}
    for name in NAMES:
        for package, version in locked(name).items():
            versions.setdefault(package, set()).add(version)

    assert {package: found for package, found in versions.items() if len(found) > 1} == {}


@pytest.mark.parametrize("locks", [bootstrap.RUN, bootstrap.DEVELOP])
def test_a_checkouts_environment_has_only_what_is_locked(locks: tuple[str, ...]) -> None:
    packages, checkout = bootstrap._installations(Path("/venv/bin/python"), locks)

    assert {"--require-hashes", "--only-binary=:all:"} <= set(packages)
    assert [Path(part).stem for part in packages if part.endswith(".txt")] == list(locks)
    assert {"--no-index", "--no-deps", "--no-build-isolation", "--editable"} <= set(checkout)


def test_one_wrong_hash_ends_the_installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By pip itself, from a folder that stands for an index."""
    (tmp_path / "pep_0-1-py3-none-any.whl").write_bytes(b"PK\x05\x06" + bytes(18))
    (tmp_path / "exporter.txt").write_text(f"pep-0==1 --hash=sha256:{'0' * 64}\n")
    monkeypatch.setattr(bootstrap, "REQUIREMENTS", tmp_path)
    packages, _ = bootstrap._installations(Path(sys.executable), ["exporter"])

    done = subprocess.run(
        [*packages, "--no-index", "--find-links", str(tmp_path), "--target", str(tmp_path / "into")],
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr
