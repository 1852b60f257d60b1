"""Makes this working tree importable in the virtual environment that runs this file, with its `jornada` command.

What an editable installation does, without a build tool, which the service itself does not need.
"""

from __future__ import annotations

import sys
import sysconfig
import tomllib
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parents[1]

_SCRIPT = """#!{python}
import sys

from {module} import {function}

if __name__ == "__main__":
    sys.exit({function}())
"""


def main() -> None:
    """Writes one .pth file and one script for each entry of [project.scripts]."""
    site_packages = Path(sysconfig.get_path("purelib"))
    (site_packages / "jornada.pth").write_text(f"{PROJECT_ROOT}\n", encoding="utf-8")
    project = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for command, target in project["scripts"].items():
        module, function = target.split(":")
        script = Path(sysconfig.get_path("scripts")) / command
        script.write_text(_SCRIPT.format(python=sys.executable, module=module, function=function), encoding="utf-8")
        script.chmod(0o755)


if __name__ == "__main__":
    main()
