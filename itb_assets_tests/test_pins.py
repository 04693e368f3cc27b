"""What is installed: every dependency pinned, with hashes, within what pyproject allows.

What is started from it belongs to `test_deployment`.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]


def pins(name: str) -> dict[str, list[tuple[Version, str]]]:
    """Return name -> (version, marker) of a requirements file; a fork of Python versions has several."""
    found: dict[str, list[tuple[Version, str]]] = {}
    text = (ROOT / name).read_text("utf-8")
    for package, version, marker in re.findall(r"^([a-z0-9-]+)==(\S+)(?: ; (.+?))? \\$", text, re.MULTILINE):
        found.setdefault(package, []).append((Version(version), marker))
    return found


def wanted(*extras: str) -> list[Requirement]:
    """Return what pyproject asks for; an extra may name others, as `itb-assets[other]`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lists = [project["dependencies"], *(project["optional-dependencies"][extra] for extra in extras)]
    found = [Requirement(text) for texts in lists for text in texts]
    named = [
        extra for requirement in found if requirement.name == project["name"] for extra in requirement.extras
    ]
    others = [requirement for requirement in found if requirement.name != project["name"]]
    return [*others, *wanted(*named)] if named else others


@pytest.mark.parametrize(
    ("name", "extras"), [("requirements.txt", ("apprise",)), ("requirements-dev.txt", ("dev",))]
)
def test_every_dependency_is_pinned_within_what_pyproject_allows(name, extras):
    """A dependency added to pyproject without `make lock` fails here."""
    pinned = pins(name)
    wrong = [
        str(requirement)
        for requirement in wanted(*extras)
        if not (versions := pinned.get(requirement.name.lower().replace("_", "-")))
        or not all(requirement.specifier.contains(version) for version, _ in versions)
    ]
    assert wrong == [], "run: make lock"


def test_development_has_the_packages_of_production():
    development, production = pins("requirements-dev.txt"), pins("requirements.txt")
    versions = {name: [version for version, _ in found] for name, found in production.items()}
    assert versions == {name: [version for version, _ in development[name]] for name in production}


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt", "requirements-bootstrap.txt"])
def test_every_pin_has_hashes_and_no_address(name):
    text = (ROOT / name).read_text("utf-8")
    assert "://" not in text
    assert "index" not in re.sub(r"--hash=\S+", "", text)
    blocks = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    assert len(blocks) == sum(map(len, pins(name).values()))
    assert [block.split()[0] for block in blocks if "--hash=sha256:" not in block] == []
