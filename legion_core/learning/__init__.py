"""LEGION's learning: agent, replay, curriculum, and runs that survive a kill."""
