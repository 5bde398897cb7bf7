"""A browser without a screen: it speaks the page's protocol, so that what would be shown can be read undrawn."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Any

import msgspec.msgpack
import viser
import zstandard
from websockets.sync.client import connect

CAMERA = {
    **{"type": "ViewerCameraMessage", "wxyz": (1.0, 0.0, 0.0, 0.0), "position": (1.0, 1.0, 1.0), "fov": 0.8},
    **{"near": 0.1, "far": 100.0, "image_height": 600, "image_width": 800},
    **{"look_at": (0.0, 0.0, 0.0), "up_direction": (0.0, 0.0, 1.0)},
}
"""A browser is counted once it has said where it looks from."""
HEADER_BYTES = 16


class PageClient:
    """What one page knows after the messages that have come: nodes of the scene, elements of the panel."""

    def __init__(self, url: str, origin: str | None = None) -> None:
        protocol = f"viser-v{viser.__version__}"
        self._socket = connect(
            url.replace("http", "ws", 1),
            subprotocols=[protocol],  # type: ignore[list-item]
            origin=origin,  # type: ignore[arg-type]
            compression=None,
            max_size=None,
        )
        self.nodes: dict[str, dict[str, Any]] = {}
        self.elements: dict[str, dict[str, Any]] = {}
        self.received: Counter[str] = Counter()
        self.moves: list[float] = []
        """When a window of messages with poses of the scene came."""
        self.send(CAMERA)

    def __enter__(self) -> PageClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def send(self, message: dict[str, Any]) -> None:
        """A message of the page."""
        self._socket.send(msgspec.msgpack.encode(message))

    def look(self, timeout_s: float) -> bool:
        """Take one window of messages in; False if none comes in time."""
        try:
            window = self._socket.recv(timeout=timeout_s, decode=False)
        except TimeoutError:
            return False
        size = int.from_bytes(window[8:HEADER_BYTES], "little")
        packed = zstandard.ZstdDecompressor().decompress(window[HEADER_BYTES : HEADER_BYTES + size])
        messages = msgspec.msgpack.decode(packed)["messages"]
        for message in messages:
            self._take(message)
        if any(m["type"] == "SetPositionMessage" and m["name"].startswith("/scene/") for m in messages):
            self.moves.append(time.monotonic())
        return True

    def until(self, condition: Callable[[], bool], timeout_s: float = 30.0) -> bool:
        """Take messages in until the condition holds."""
        end = time.monotonic() + timeout_s
        while not condition() and time.monotonic() < end:
            self.look(0.05)
        return condition()

    def _take(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        self.received[kind] += 1
        if kind == "RemoveSceneNodeMessage":
            gone = message["name"]
            self.nodes = {n: node for n, node in self.nodes.items() if n != gone and not n.startswith(f"{gone}/")}
        elif kind == "SetPositionMessage":
            self.nodes.setdefault(message["name"], {})["position"] = message["position"]
        elif kind == "SetSceneNodeVisibilityMessage":
            self.nodes.setdefault(message["name"], {})["visible"] = message["visible"]
        elif kind == "SceneNodeUpdateMessage":
            self.nodes.setdefault(message["name"], {}).update(message["updates"])
        elif kind == "GuiUpdateMessage":
            self.elements[message["uuid"]].update(message["updates"])
        elif "uuid" in message and "props" in message:
            self.elements[message["uuid"]] = {"type": kind, **message["props"]}
        elif "name" in message and "props" in message:
            self.nodes[message["name"]] = {"type": kind, **message["props"]}

    def element(self, kind: str, label: str = "") -> str:
        """The id of the element of that kind, and of that label where one is given."""
        return next(
            uuid
            for uuid, element in self.elements.items()
            if element["type"] == f"Gui{kind}Message" and (not label or element.get("label") == label)
        )

    def press(self, label: str) -> None:
        """Press the button of that label."""
        self.send({"type": "GuiUpdateMessage", "uuid": self.element("Button", label), "updates": {"value": True}})

    def say(self, sentence: str) -> None:
        """Type a sentence and press Enter."""
        typed = {"type": "GuiUpdateMessage", "uuid": self.element("Text"), "updates": {"value": sentence}}
        self.send(typed)
        self.send({"type": "GuiFormSubmitMessage", "uuid": self.element("Form")})

    def shown(self, name: str) -> str:
        """The HTML of the part of the panel with that id."""
        marked = f'id="legion-{name}"'
        texts = (element.get("content", "") for element in self.elements.values())
        return next((text for text in texts if text and marked in text), "")
