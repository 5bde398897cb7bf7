"""LEGION: tasks, spaces, networks, knowledge, policy, bundle, learning and simulation environments."""

__version__ = "0.1.0"
