"""The house keeps its promises: pages, settings, changelog and make targets agree with the code.

What runs in production is tested in test_deployment (instance, compose, image) and test_pins.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import typer

from itb_assets.observability.alerts.config import load_config
from itb_assets.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
PINS = ("requirements-bootstrap.txt", "requirements-dev.txt", "pyproject.toml")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def load_script(path: Path) -> ModuleType:
    """Import a script that is no part of a package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make in a folder, free of the variables of a surrounding make."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    environment.pop("MFLAGS", None)
    return subprocess.run(
        ["make", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def make_targets() -> set[str]:
    """Return the targets of the Makefile."""
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, made as web forges make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def code_of(page: Path) -> str:
    """Return the code of a page: its blocks and its inline spans, one a line."""
    text = page.read_text("utf-8")
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    return "\n".join([*blocks, *spans])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path):
    broken = []
    for target in LINK.findall(page.read_text("utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_make_command_of_a_page_is_a_target(page: Path):
    named = set(re.findall(r"^(?:\$ )?make ([a-z-]+)", code_of(page), re.MULTILINE))
    assert named <= make_targets()


def test_the_readme_names_the_two_commands():
    assert {"make demo", "make test"} <= {
        line.split("#")[0].strip() for line in code_of(ROOT / "README.md").splitlines()
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_itb_command_of_a_page_exists(page: Path):
    from itb_assets.cli import app  # noqa: PLC0415 -- imports much; the other tests here do not need it

    unknown = []
    for line in re.findall(r"(?:^|code )(?:\.venv/bin/)?itb ([a-z][a-z ]*)", code_of(page), re.MULTILINE):
        command: object = typer.main.get_command(app)
        for word in line.split():
            known = getattr(command, "commands", None)
            if known is None:
                break
            if word not in known:
                unknown.append(line)
                break
            command = known[word]
    assert unknown == []


def test_generated_tables_are_current():
    """`docs/render_tables.py --check` finds nothing to write: every setting and error is on the page."""
    done = subprocess.run(
        [sys.executable, "docs/render_tables.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}run: make docs"


def test_generated_tables_name_every_setting_and_default():
    table = load_script(ROOT / "docs" / "render_tables.py").settings_table()
    for name, field in Settings.model_fields.items():
        assert field.description
        assert f"| `ITB_{name.upper()}` | " in table
        assert table.count(field.description) == 1


def test_the_env_example_spells_out_the_defaults(tmp_path, monkeypatch):
    """Uncommenting every line that has a value changes nothing."""
    for name in [name for name in os.environ if name.startswith("ITB_")]:
        monkeypatch.delenv(name)
    lines = (ROOT / ".env.example").read_text("utf-8").splitlines()
    chosen = [line.removeprefix("# ") for line in lines if re.match(r"# ITB_[A-Z_]+=.", line)]
    assert len(chosen) > 5
    (tmp_path / "env").write_text("\n".join(chosen), "utf-8")
    assert Settings(_env_file=tmp_path / "env") == Settings(_env_file=None)


def test_the_env_example_holds_no_password():
    text = (ROOT / ".env.example").read_text("utf-8")
    assert re.findall(r"(?i)^.*(?:password|secret|token|key)[a-z_]*=\S+", text, re.MULTILINE) == []


def test_troubleshooting_has_a_row_for_every_error():
    page = (ROOT / "docs" / "operations.md").read_text("utf-8").partition("## Troubleshooting")[2]
    kinds = load_script(ROOT / "docs" / "render_tables.py").error_types()
    leaves = {kind.__name__ for kind in kinds if not kind.__subclasses__()}
    assert {name for name in leaves if f"| `{name}` |" not in page} == set()


def test_every_rule_of_alerts_has_a_section_that_says_what_to_do():
    """A message leads to `alert-<rule>` of the operations page."""
    page = (ROOT / "docs" / "operations.md").read_text("utf-8")
    told = {name.replace(" ", "_") for name in re.findall(r"^### Alert: (.+)$", page, re.MULTILINE)}
    assert told == set(dict(load_config().rules.named()))


def test_the_changelog_has_an_unreleased_section_with_entries():
    unreleased = (ROOT / "CHANGELOG.md").read_text("utf-8").partition("## [Unreleased]")[2]
    assert re.search(r"^### (Added|Changed|Fixed|Removed)\n\n- ", unreleased, re.MULTILINE)


def test_decisions_are_numbered_once():
    numbers = [path.name[:4] for path in (ROOT / "docs" / "decisions").glob("*.md")]
    assert all(number.isdigit() for number in numbers)
    assert len(numbers) == len(set(numbers))


def test_make_help_is_the_default_and_lists_what_a_user_needs():
    done = make(ROOT)
    assert done.returncode == 0
    for target in ("install", "demo", "test", "ui", "run", "bench", "clean"):
        assert f"make {target} " in done.stdout


def test_make_test_runs_every_kind_of_check_in_order():
    steps = re.search(r"^test: (.+?) ##", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert steps is not None
    assert steps[1].split() == ["install", "format-check", "lint", "types", "imports", "pytest"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a checkout in a folder with a space, with nothing but the Makefile and the pins."""
    folder = tmp_path / "a folder"
    folder.mkdir()
    for name in ("Makefile", *PINS):
        shutil.copy(ROOT / name, folder / name)
    return folder


def mark_installed(checkout: Path) -> None:
    """Leave the mark of a finished installation."""
    (checkout / ".venv").mkdir()
    state = subprocess.run(
        ["sh", "-c", f"pwd -P; cat {' '.join(PINS)} | cksum"],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=True,
    )
    (checkout / ".venv" / ".installed").write_text(state.stdout, "utf-8")


def test_make_install_does_nothing_when_all_is_in_place(checkout):
    mark_installed(checkout)
    done = make(checkout, "install", "PYTHON=/no/such/python")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("changed", PINS)
def test_make_install_starts_again_when_a_pin_changed(checkout, changed):
    mark_installed(checkout)
    with (checkout / changed).open("a") as file:
        file.write("# changed\n")
    done = make(checkout, "install", "PYTHON=/no/such/python")
    assert done.returncode != 0
    assert not (checkout / ".venv" / ".installed").exists()


def test_make_install_starts_again_when_the_checkout_was_moved(checkout):
    mark_installed(checkout)
    moved = checkout.rename(checkout.with_name("moved here"))
    done = make(moved, "install", "PYTHON=/no/such/python")
    assert "moved" in done.stdout
    assert not (moved / ".venv").exists()


def test_make_install_names_the_python_it_could_not_use(checkout):
    done = make(checkout, "install", "PYTHON=/no/such/python")
    assert done.returncode != 0
    assert "PYTHON=/no/such/python is not a usable Python" in done.stderr
    assert "make install PYTHON=/path/to/python3.11" in done.stderr
    assert not (checkout / ".venv").exists()
