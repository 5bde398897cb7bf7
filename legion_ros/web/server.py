"""viser's server, hardened: a free port or a clear error, no other site's pages, no tunnel to the internet."""

from __future__ import annotations

import http
import ipaddress
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import viser
import websockets.asyncio.server

from legion_core.errors import ConfigurationError

CAMERA_M, LOOK_AT_M = (1.35, 1.25, 0.95), (0.35, 0.0, 0.25)
"""Where the operator looks from at first, in the frame of the robot's base."""


class PageServer(viser.ViserServer):
    """Serves on `host` and `port`, and on nothing else.

    Raises:
        ConfigurationError: that address cannot be listened on.
    """

    def __init__(self, host: str, port: int) -> None:
        _require_free(host, port)
        with _own_pages_only():
            super().__init__(host=host, port=port, label="LEGION", verbose=False)
        if self.get_port() != port:  # viser takes the next one
            self.stop()
            raise ConfigurationError(f"web_port = {port} was taken while the page was started; choose another")
        self.gui.configure_theme(show_logo=False, show_share_button=False)
        # neither reflections nor shadows: a browser that draws without a graphics card is three times as fast without
        self.scene.configure_environment_map(None)
        self.scene.configure_default_lights(cast_shadow=False)
        self.scene.add_light_hemisphere("/light", intensity=2.0)
        self.initial_camera.position, self.initial_camera.look_at = CAMERA_M, LOOK_AT_M

    def request_share_url(self, verbose: bool = True) -> str | None:
        """Never: any browser could ask, and viser would open the page to the internet."""
        return None


def own_page(host: str | None, origin: str | None) -> bool:
    """Whether a request comes from a page of this server, or from a program that is no browser.

    Another site's page that runs in the operator's browser names another origin. A name that points here could be
    anybody's (DNS rebinding), so only addresses, localhost and this machine's name count as hosts.
    """
    name = urlsplit(f"//{host}").hostname if host else None
    if name is None or not (_is_address(name) or name in ("localhost", socket.gethostname().lower())):
        return False
    return origin is None or urlsplit(origin).netloc == host


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _require_free(host: str, port: int) -> None:
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        why = (error.strerror or str(error)).partition(" (")[0]
        raise ConfigurationError(
            f"web_port = {port} on web_host = {host!r}: {why}; choose others with --web-port and --web-host"
        ) from error


@contextmanager
def _own_pages_only() -> Iterator[None]:
    """Servers that are started meanwhile refuse what `own_page` refuses: viser has no setting for it."""
    serve = websockets.asyncio.server.serve

    def guarded(*args: Any, process_request: Callable[[Any, Any], Any], **more: Any) -> Any:
        def check(connection: Any, request: Any) -> Any:
            if not own_page(request.headers.get("Host"), request.headers.get("Origin")):
                return connection.respond(http.HTTPStatus.FORBIDDEN, "not a page of this server\n")
            response = process_request(connection, request)
            if response is not None:  # else another site could lay its own buttons under this page's
                response.headers["Content-Security-Policy"] = "frame-ancestors 'none'"
            return response

        return serve(*args, process_request=check, **more)

    websockets.asyncio.server.serve = guarded  # type: ignore[assignment, misc]
    try:
        yield
    finally:
        websockets.asyncio.server.serve = serve  # type: ignore[misc]
