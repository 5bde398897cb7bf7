"""The page: server, panel and a scene a browser, renewed by a thread that sleeps while nobody looks."""

from __future__ import annotations

import threading
import time

from rclpy.node import Node

from legion_core.bundle import PolicyBundle
from legion_core.mission import load_missions
from legion_ros import topics
from legion_ros.diagnostics import RateMeter
from legion_ros.web.ears import Ears
from legion_ros.web.latent_map import LatentMap
from legion_ros.web.panel import Panel
from legion_ros.web.scene_view import SceneView
from legion_ros.web.scenes import Picture, Scene, open_scene
from legion_ros.web.server import PageServer
from legion_ros.web.state import PageState
from legion_ros.web.wishes import Wishes
from legion_sim2real.robot import RobotProfile

PANEL_HZ, SLOW_HZ = 5.0, 2.0
"""How often the panel is renewed, and its plots and the health."""


class Page:
    """The operator's page of a node, which another thread spins.

    Raises:
        ConfigurationError: `host` and `port` cannot be listened on, or the robot's files are malformed.
    """

    def __init__(
        self, node: Node, profile: RobotProfile, bundle: PolicyBundle, host: str, port: int, frame_hz: float
    ) -> None:
        self._node, self._profile, self._manifest = node, profile, bundle.manifest
        self._period_s = 1.0 / frame_hz
        self._state = PageState()
        self._wishes = Wishes(node, self._state)
        self._map, self._task = LatentMap(bundle.knowledge), ""
        self.frames = RateMeter()
        self.server = PageServer(host, port)
        missions = {name: mission.title for name, mission in load_missions().items()}
        self._simulated = profile.driver == "mujoco"
        self._panel = Panel(self.server, self._wishes, missions, self._simulated)
        self._views: dict[int, SceneView] = {}
        self._picture: Picture | None = None
        self._somebody = threading.Event()
        self.server.on_client_connect(lambda _: self._somebody.set())
        self._ends = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def browsers(self) -> int:
        """How many look."""
        return len(self.server.get_clients())

    @property
    def alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Stop serving."""
        self._ends = True
        self._somebody.set()
        self._thread.join()
        self.server.stop()

    def _run(self) -> None:
        while not self._ends:
            self._somebody.wait()
            self._somebody.clear()
            try:
                if self._look_round():
                    self._serve()
            except Exception:
                if self._node.context.ok():  # else the process ends, and every call of ROS fails
                    raise

    def _look_round(self) -> bool:
        """A view for each browser that is there. Returns whether there is one."""
        clients = self.server.get_clients()
        self._views = {number: self._views.get(number) or SceneView(client) for number, client in clients.items()}
        return bool(clients)

    def _serve(self) -> None:
        """From the first browser to the last."""
        ears = Ears(self._node, self._manifest, self._state, self._simulated)
        scene, self._picture = open_scene(self._node, self._profile), None
        panel, slow = _Due(1.0 / PANEL_HZ), _Due(1.0 / SLOW_HZ)
        try:
            while self._look_round() and not self._ends:
                began = time.monotonic()
                self._draw(scene)
                if panel.now(began):
                    self._renew(ears)
                if slow.now(began):
                    ears.look()
                    self._panel.offer_talk(self._node.count_publishers(topics.VOICE_TRANSCRIPT) > 0, self._views)
                    self._panel.show_slow(self._state)
                time.sleep(max(self._period_s - (time.monotonic() - began), 0.001))
        finally:
            ears.close()
            scene.close()
            self._panel.release_talk()

    def _draw(self, scene: Scene) -> None:
        """The newest picture into every view; one that came since is given what there is."""
        picture = scene.look()
        if picture is not None:
            self._picture = picture
            self.frames.tick()
        if self._picture is None:
            return
        for view in self._views.values():
            if view.key != self._picture.key:
                view.show(self._picture.key, self._picture.bodies, self._picture.base)
            elif picture is None:
                continue
            view.move(self._picture.poses)

    def _renew(self, ears: Ears) -> None:
        latent, markers = ears.latent(), ears.markers()
        if self._state.task != self._task:
            self._task = self._state.task
            self._map.clear()
        elif latent is not None and self._task:
            self._map.put(latent.z)
        if markers is not None:
            for view in self._views.values():
                view.mark(markers)
        self._panel.show(self._state, self._map.svg())


class _Due:
    """Says now and then that it is time."""

    def __init__(self, period_s: float) -> None:
        self._period_s, self._next = period_s, 0.0

    def now(self, at: float) -> bool:
        """Whether it is time at that time (s)."""
        due = at >= self._next
        if due:
            self._next = at + self._period_s
        return due
