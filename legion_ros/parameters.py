"""Node parameters as a frozen dataclass: declared with type, description and range, checked, and read back once."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node
from rclpy.parameter import Parameter

from legion_core.errors import ConfigurationError, unknown

T = TypeVar("T")
KINDS: dict[type, str] = {bool: "true or false", int: "an integer", float: "a number", str: "text"}


@dataclass(frozen=True)
class Constraint:
    """What a parameter means and which values it takes; `dynamic` ones may be set while the node runs."""

    description: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    dynamic: bool = False

    @property
    def allowed(self) -> str:
        """The allowed values in words; empty when every value of the type is."""
        if self.choices:
            return ", ".join(self.choices)
        return "" if self.minimum is None else f"{self.minimum:g} to {self.maximum:g}"


def parameter(
    default: Any,
    description: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: Sequence[str] = (),
    dynamic: bool = False,
) -> Any:
    """A dataclass field that `declare` turns into a ROS parameter."""
    constraint = Constraint(description, minimum, maximum, tuple(choices), dynamic)
    return dataclasses.field(default=default, metadata={"constraint": constraint})


def declare(node: Node, cls: type[T]) -> T:
    """Declare the fields of `cls` as parameters of `node` and return the values they were given.

    Raises:
        ConfigurationError: an unknown parameter was given, or one has the wrong type or is out of range.
    """
    hints = typing.get_type_hints(cls)
    fields = dataclasses.fields(cls)  # type: ignore[arg-type]
    given = _overrides(node)
    allowed = [f.name for f in fields]
    for name in given:
        if name not in allowed and not node.has_parameter(name) and not name.startswith("qos_overrides."):
            raise ConfigurationError(unknown("parameter", name, [*allowed, "use_sim_time"]))
    values = {}
    for f in fields:
        constraint: Constraint = f.metadata["constraint"]
        value = checked(f.name, given.get(f.name, f.default), hints[f.name], constraint)
        if f.name in given:  # an integer given for a number would be refused by its type
            given[f.name] = value
            node._parameter_overrides[f.name] = Parameter(f.name, value=value)
        node.declare_parameter(f.name, f.default, _descriptor(hints[f.name], constraint))
        values[f.name] = value
    return cls(**values)


def checked(name: str, value: Any, hint: type[Any], constraint: Constraint) -> Any:
    """`value` as the type `hint`.

    Raises:
        ConfigurationError: wrong type or out of range.
    """
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not hint:  # not isinstance: True is an int
        raise ConfigurationError(f"parameter {name} = {value!r}; expected {KINDS[hint]}")
    low, high = constraint.minimum, constraint.maximum
    number: Any = value
    outside = low is not None and high is not None and not low <= number <= high
    if outside or (constraint.choices and value not in constraint.choices):
        raise ConfigurationError(f"parameter {name} = {value!r}; allowed: {constraint.allowed}")
    return value


def _overrides(node: Node) -> dict[str, Any]:
    # rclpy drops what nobody declares without a word, and no public method tells what was given
    return {name: given.value for name, given in node._parameter_overrides.items()}


def _descriptor(hint: type, constraint: Constraint) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(
        description=constraint.description,
        read_only=not constraint.dynamic,
        additional_constraints=constraint.allowed if constraint.choices else "",
    )
    if constraint.minimum is not None and constraint.maximum is not None:
        if hint is int:
            descriptor.integer_range = [
                IntegerRange(from_value=int(constraint.minimum), to_value=int(constraint.maximum))
            ]
        else:
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=float(constraint.minimum), to_value=float(constraint.maximum))
            ]
    return descriptor
