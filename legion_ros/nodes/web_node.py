"""web_node: the operator's page for a browser. It listens to the graph only while a browser looks.

ROS is spun by the main thread, the page is drawn by a second one, and each press of a button is handled in one of the
server's: an emergency stop waits for none of the others.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from rclpy.node import Node

from legion_core.bundle import PolicyBundle
from legion_core.errors import ConfigurationError
from legion_ros.diagnostics import Diagnostics
from legion_ros.parameters import declare, parameter
from legion_ros.process import run
from legion_sim2real.robot import load_profile

NAME = "web_node"


@dataclass(frozen=True)
class WebSettings:
    """Parameters of the web node."""

    robot: str = parameter("mujoco", "Robot profile: a name in config/robots or the path of a YAML file")
    policy: str = parameter("", "Folder of the policy bundle; empty: the one that comes with the package")
    web_host: str = parameter("127.0.0.1", "Address that the page listens on; 127.0.0.1: this machine only")
    web_port: int = parameter(8080, "Port that the page listens on", minimum=1, maximum=65535)
    frame_hz: float = parameter(30.0, "Most pictures of the moving scene a second", minimum=1.0, maximum=60.0)


class WebNode(Node):
    """Serves the page; the deployment works without it."""

    def __init__(self) -> None:
        super().__init__(NAME)
        settings = declare(self, WebSettings)
        try:
            from legion_ros.web.page import Page
        except ImportError as error:
            raise ConfigurationError(
                f"{error.name} is not installed; install it with: pip install 'legion_ros[web]'"
            ) from error
        profile, bundle = load_profile(settings.robot), PolicyBundle.load(settings.policy or None)
        self._url = f"http://{settings.web_host}:{settings.web_port}"
        self.page = Page(self, profile, bundle, settings.web_host, settings.web_port, settings.frame_hz)
        self._diagnostics = Diagnostics(self, self._report)
        self.get_logger().info(f"the page is on {self._url}")

    def destroy_node(self) -> None:
        """Stop serving, then end as every node."""
        self.page.close()
        super().destroy_node()

    def _report(self) -> tuple[str, dict[str, object]]:
        if not self.page.alive:
            raise RuntimeError("the page's thread has ended; what it said is above")  # a new process mends it
        browsers = self.page.browsers
        state = f"browsers that look: {browsers}" if browsers else "nobody looks"
        return state, {"url": self._url, "browsers": browsers, "rate_hz": self.page.frames.rate_hz()}


def main() -> None:
    """Entry point of the executable."""
    os.nice(5)  # whoever watches must not slow down those who work
    run(NAME, WebNode)


if __name__ == "__main__":
    main()
