"""The pages of the site's reference, made from the code when the site is built. Nothing of ROS is started."""

from __future__ import annotations

from collections.abc import Callable

from reference import api, commands, diagnostics, graph, parameters, settings

PAGES: dict[str, Callable[[], str]] = {
    "reference/topics.md": graph.page,
    "reference/parameters.md": parameters.page,
    "reference/commands.md": commands.page,
    "reference/launch.md": parameters.launch_page,
    "reference/robot.md": settings.robot_page,
    "reference/training.md": settings.training_page,
    **{f"reference/{package}.md": api.page_of(package) for package in api.PUBLIC},
}
"""Where each page stands in the site, and what makes it."""
TABLES: dict[str, Callable[[], str]] = {
    "problems": diagnostics.problems,
    "interventions": diagnostics.interventions,
}
"""What stands in a page of docs/ in place of a comment `<!-- table: NAME -->`."""
