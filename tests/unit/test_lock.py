"""The lock files hold what pyproject.toml asks for, whole; `make lock` writes them."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

CHECKOUT = Path(__file__).parents[2]
NAMES = ("build", "exporter", "demo")


def wanted(name: str) -> list[Requirement]:
    document = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    extras = document["project"]["optional-dependencies"]
    texts = {
        "build": document["build-system"]["requires"],
        "exporter": document["project"]["dependencies"] + extras["exporter"],
        "demo": extras["demo"],
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
