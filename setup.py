"""What pyproject.toml cannot say: the queries of docs/queries travel inside the package.

They have one home, the page that explains them; everything else about the package is in pyproject.toml.
"""

from __future__ import annotations

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

QUERIES = Path("docs") / "queries"
INSIDE = Path("itb_assets") / "storage" / "queries" / "sql"


class BuildWithQueries(build_py):
    """Build the package, and copy the queries into it; an editable install reads them where they are."""

    def run(self) -> None:
        """Do both; raise FileNotFoundError where there are no queries, rather than build without them."""
        super().run()
        if self.editable_mode:
            return
        for source, target in self._queries().items():
            self.mkpath(str(target.parent))
            self.copy_file(str(source), str(target), preserve_mode=False)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:  # noqa: FBT001, FBT002 - setuptools' own
        """Name every file that is built."""
        copied = [] if self.editable_mode else [str(target) for target in self._queries().values()]
        return [*super().get_outputs(include_bytecode), *copied]

    def get_source_files(self) -> list[str]:
        """Name what a source archive must hold."""
        return [*super().get_source_files(), *map(str, self._queries())]

    def _queries(self) -> dict[Path, Path]:
        found = sorted(QUERIES.glob("*.sql"))
        if not found:
            raise FileNotFoundError(f"{QUERIES.absolute()} holds no *.sql: copy it beside setup.py")
        return {file: Path(self.build_lib) / INSIDE / file.name for file in found}


setup(cmdclass={"build_py": BuildWithQueries})
