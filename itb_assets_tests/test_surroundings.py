"""What happens where something is missing: recorded data, a browser, the OpenMP library.

What the package itself does is tested in its rooms.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
SITE_PACKAGES = Path(sysconfig.get_path("purelib"))


def test_ci_stops_at_once_without_the_recorded_data(tmp_path):
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    done = subprocess.run(
        [script],
        env={**os.environ, "ITB_TEST_DATA": str(tmp_path / "absent"), "ITB_TEST_CHROMIUM": "/usr/bin/true"},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 1
    assert f"no recorded data at {tmp_path / 'absent'}" in done.stderr


TESTS_THAT_SKIP = """
import pytest
def test_fixture(test_data): pass
@pytest.mark.data
def test_mark(): pytest.skip("no folder")
@pytest.mark.browser
def test_browser(): pytest.skip("no window")
def test_reason(): pytest.skip("set ITB_TEST_DATA")
def test_machine(): pytest.skip("root may read everything")
"""


@pytest.mark.parametrize(("ci", "outcome"), [("true", "3 failed, 1 skipped, 1 error"), ("", "5 skipped")])
def test_a_skip_for_want_of_data_fails_on_ci_alone(tmp_path, ci, outcome):
    """On CI three fail in their call, one in its fixture, and the last skips; elsewhere all skip."""
    shutil.copy(ROOT / "itb_assets_tests" / "conftest.py", tmp_path)
    (tmp_path / "test_it.py").write_text(TESTS_THAT_SKIP, "utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n  data:\n  browser:\n", "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", tmp_path],
        env={
            **os.environ,
            "CI": ci,
            "ITB_TEST_DATA": str(tmp_path / "absent"),
            "PYTHONPATH": str(ROOT / "itb_assets_tests"),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert outcome in done.stdout


@pytest.fixture(scope="module")
def openmp() -> ModuleType:
    """Return the script that provides the OpenMP library."""
    spec = importlib.util.spec_from_file_location("provide_openmp", ROOT / "deploy" / "provide_openmp.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


@pytest.mark.skipif(sys.platform != "linux", reason="the OpenMP library is provided on Linux alone")
def test_the_openmp_copy_answers_to_the_plain_name(tmp_path, openmp):
    """Once the copy is loaded, a library that links to libgomp.so.1 gets it, not the system's."""
    (tmp_path / "scikit_learn.libs").symlink_to(SITE_PACKAGES / "scikit_learn.libs")
    copy = openmp.provide(tmp_path)
    assert (tmp_path / "itb_openmp.pth").read_text("utf-8").count(str(copy)) == 1
    code = f"""if True:
        import ctypes
        ctypes.CDLL({str(copy)!r}, mode=ctypes.RTLD_GLOBAL)
        ctypes.CDLL("libgomp.so.1")
        print({{line.split()[-1] for line in open("/proc/self/maps") if "libgomp" in line}})
    """
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str({str(copy)})


def test_the_openmp_copy_refuses_a_library_it_does_not_know(openmp):
    with pytest.raises(ValueError, match="0 times"):
        openmp.renamed(b"\x7fELF", b"libgomp-1.so")
