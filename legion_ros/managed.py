"""A lifecycle node whose transitions may raise LegionError, and that can bring itself up."""

from __future__ import annotations

import traceback
from collections.abc import Callable

from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from legion_core.errors import DeploymentError, LegionError


class ManagedNode(LifecycleNode):
    """Subclasses give `configure`, `activate`, `deactivate` and `cleanup`."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.active = False
        self._failure: LegionError | None = None
        self._raises = False

    def configure(self) -> None:
        """Load what the node works with and create its topics."""
        raise NotImplementedError

    def activate(self) -> None:
        """Begin to act."""

    def deactivate(self) -> None:
        """Stop acting."""

    def cleanup(self) -> None:
        """Give back what `configure` made."""
        raise NotImplementedError

    def autostart(self) -> None:
        """Configure and activate now.

        Raises:
            LegionError: what kept the node from it.
        """
        self._raises = True
        for trigger in (self.trigger_configure, self.trigger_activate):
            if trigger() != TransitionCallbackReturn.SUCCESS:
                raise self._failure or DeploymentError("the node could not be brought up; see its log")
        self._raises = False

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._transition(self.configure)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        result = self._transition(self.activate)
        self.active = result == TransitionCallbackReturn.SUCCESS
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.active = False
        return self._transition(self.deactivate)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._transition(self.cleanup)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        if self.active:
            self.active = False
            return self._transition(self.deactivate)
        return TransitionCallbackReturn.SUCCESS

    def _transition(self, step: Callable[[], None]) -> TransitionCallbackReturn:
        self._failure = None
        try:
            step()
        except LegionError as error:
            self._failure = error
            if not self._raises:
                self.get_logger().error(str(error))
            return TransitionCallbackReturn.FAILURE
        except Exception:
            self.get_logger().error(traceback.format_exc())  # rclpy would swallow it
            return TransitionCallbackReturn.ERROR
        return TransitionCallbackReturn.SUCCESS
