"""Puts the commit and the folders beside the package into a wheel; the rest is in pyproject.toml."""

import runpy
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

COMMIT = runpy.run_path("app/installation.py")["commit"]()


class BuildPy(build_py):
    """Makes `app` the only name that a wheel installs. An editable install uses the folders where they are."""

    def run(self) -> None:
        if self.editable_mode:
            super().run()
            return
        shutil.rmtree(self.build_lib, ignore_errors=True)  # setuptools would pack what an earlier build left there
        super().run()
        package = Path(self.build_lib, "app")
        shutil.copytree("templates", package / "templates")
        shutil.move(Path(self.build_lib, "migrations"), package / "migrations")
        (package / "COMMIT").write_text(COMMIT)


setup(cmdclass={"build_py": BuildPy})
