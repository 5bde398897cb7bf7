"""Where the project's data files lie: in the source tree, or in share/legion_ros of an installation."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from legion_core.errors import ConfigurationError

SHARE = Path("share") / "legion_ros"


def search_path() -> list[Path]:
    """Folders that may hold `urdf/`, `config/`, `launch/`: the source tree first, then every install prefix."""
    prefixes = [Path(p) for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
    return [Path(__file__).resolve().parents[1], *(p / SHARE for p in prefixes), Path(sys.prefix) / SHARE]


def resource(relative: str) -> Path:
    """The path of a data file such as `urdf/iiwa7_r800.urdf.xacro`.

    Raises:
        ConfigurationError: no folder of the search path holds it.
    """
    folders = search_path()
    for folder in folders:
        if (folder / relative).exists():
            return folder / relative
    raise ConfigurationError(f"{relative} not found in any of: {', '.join(map(str, folders))}")
