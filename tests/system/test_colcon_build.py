"""The package builds with colcon as an ament_python package, and what it installs is found and runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NODES = (
    "language",
    "policy",
    "real2sim",
    "sim2real",
    "watchdog",
    "mujoco",
    "mission",
    "monitor",
    "record",
    "web",
    "voice",
)


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The install folder of a colcon build of the files that the repository holds."""
    workspace = tmp_path_factory.mktemp("colcon")
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listing.stdout.split("\0")):
        if not (ROOT / name).is_file():
            continue
        target = workspace / "src" / "legion_ros" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target)
    colcon = [sys.executable, "-m", "colcon", "--log-base", "log", "build", "--base-paths", "src"]
    built = subprocess.run(colcon, cwd=workspace, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return workspace / "install" / "legion_ros"


def test_every_node_is_an_executable_of_the_package(prefix: Path) -> None:
    installed = {path.name for path in (prefix / "lib" / "legion_ros").iterdir()}
    assert {f"{node}_node" for node in NODES} | {"legion"} <= installed


@pytest.mark.parametrize("folder", ["config", "launch", "urdf"])
def test_every_data_file_is_shared(prefix: Path, folder: str) -> None:
    def files(below: Path) -> set[str]:
        found = (file.relative_to(below) for file in below.rglob("*") if file.is_file())
        return {str(file) for file in found if "__pycache__" not in file.parts}

    shared = prefix / "share" / "legion_ros" / folder
    assert files(shared) == files(ROOT / folder)


def test_the_installed_copy_runs_and_finds_its_files(prefix: Path, tmp_path: Path) -> None:
    site = next((prefix / "lib").glob("python*/site-packages"))
    check = (
        "import legion_core, legion_core.resources as r, legion_core.bundle as b;"
        "print(legion_core.__file__); print(r.resource('urdf/iiwa7_r800.urdf.xacro')); b.PolicyBundle.load()"
    )
    environment = {**os.environ, "PYTHONPATH": str(site), "AMENT_PREFIX_PATH": str(prefix)}
    run = subprocess.run([sys.executable, "-c", check], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == [
        str(site / "legion_core" / "__init__.py"),
        str(prefix / "share" / "legion_ros" / "urdf" / "iiwa7_r800.urdf.xacro"),
    ]
