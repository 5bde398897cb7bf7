"""Hooks of mkdocs: the generated pages, and what the forge shows and a site without a network cannot."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

sys.path.insert(0, str(Path(__file__).parent))

from reference import PAGES, TABLES
from reference.markdown import table

LINK = re.compile(r"\[([^\]]+)\]\((?:\.\./)+([^)#]+)(?:#[^)]*)?\)")
"""A link that leaves docs/: there is such a file on the forge and none in the site."""
TABLE = re.compile(r"<!-- table: (\w+) -->")
FLOWCHART = re.compile(r"```mermaid\n(flowchart .*?)```", re.DOTALL)
NODE = re.compile(r"(\w+)[\[(]+(.+?)[\])]+")
EDGE = re.compile(r"(\w+) -- (.+?) --> (?=(\w+))")


def on_files(files: Any, config: Any) -> Any:
    """Add the reference."""
    for place, page in PAGES.items():
        files.append(File.generated(config, place, content=page()))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Fill in the tables; name files of the repository instead of linking to them."""
    if page.file.generated_by:
        return markdown
    markdown = TABLE.sub(lambda found: TABLES[found[1]](), markdown)
    return LINK.sub(_named, FLOWCHART.sub(_listed, markdown))


def _listed(chart: re.Match[str]) -> str:
    """The edges of a flowchart as a table: the script that draws one would have to be fetched."""
    texts = {name: text.replace("<br/>", " ") for name, text in NODE.findall(chart[1])}
    edges = EDGE.findall(NODE.sub(r"\1", chart[1]))
    rows = ((texts.get(a, a), what.replace("<br/>", ", "), texts.get(b, b)) for a, what, b in edges)
    return table(("from", "what", "to"), rows)


def _named(link: re.Match[str]) -> str:
    text, path = link[1], link[2]
    bare = text.strip("`")
    return f"`{path}`" if path.endswith(bare) else f"{text} (`{path}`)"
