"""A lifecycle node whose transitions may raise LegionError, and that can bring itself up and wait for what it needs."""

from __future__ import annotations

import traceback
from collections.abc import Callable

from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from legion_core.errors import DeploymentError, LegionError

LOOK_S = 0.1
"""How often a node that brings itself up looks for what it waits for."""


class ManagedNode(LifecycleNode):
    """Subclasses give `configure`, `activate`, `deactivate` and `cleanup`, and `obstacle` where they need others.

    One that brings itself up becomes active when there is no obstacle, and inactive while there is one. A lifecycle
    manager is refused the activation meanwhile, and told why.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.active = False
        self._waits = False
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

    def obstacle(self) -> str | None:
        """What of others the node cannot act without and is not there, in words; None: nothing."""
        return None

    @property
    def waits_for(self) -> str | None:
        """What keeps a node that brings itself up from acting; None: nothing does."""
        return self.obstacle() if self._waits else None

    def autostart(self) -> None:
        """Configure now, and activate as soon as nothing stands against it.

        Raises:
            LegionError: what kept the node from it.
        """
        self._raises = True
        self._bring(self.trigger_configure)
        self._waits = self.obstacle() is not None
        if not self._waits:
            self._bring(self.trigger_activate)
        self._raises = False
        self.create_timer(LOOK_S, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _bring(self, trigger: Callable[[], TransitionCallbackReturn]) -> None:
        if trigger() != TransitionCallbackReturn.SUCCESS:
            raise self._failure or DeploymentError("the node could not be brought up; see its log")

    def _look(self) -> None:
        obstacle = self.obstacle() if self.active or self._waits else None
        if self.active and obstacle is not None:
            self.get_logger().warning(f"inactive: {obstacle}")
            self.trigger_deactivate()
            self._waits = True
        elif self._waits and obstacle is None:
            self._waits = False
            self.trigger_activate()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._transition(self.configure)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        result = self._transition(self._activate)
        self.active = result == TransitionCallbackReturn.SUCCESS
        return result

    def _activate(self) -> None:
        if obstacle := self.obstacle():
            raise DeploymentError(f"cannot be activated: {obstacle}")
        self.activate()

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.active = self._waits = False
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
