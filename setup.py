"""What pyproject.toml cannot say: a built package has the configs of `conf/` in it, `sweeps/` among them."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithConfigs(build_py):
    """Builds the package, and puts the repository's configs where `lorasweep.program.conf` looks for them.

    An editable install has no need of it: there the repository's own are found.
    """

    def run(self) -> None:
        """Build, then copy."""
        super().run()
        if not self.editable_mode:
            # conf/sweeps is a link to sweeps/: what it leads to is copied.
            shutil.copytree("conf", Path(self.build_lib, "lorasweep", "conf"), dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithConfigs})
