"""Hooks of mkdocs: the generated pages, and links to files of the repository that are no pages of the site."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

sys.path.insert(0, str(Path(__file__).parent))

from reference import PAGES, TABLES

LINK = re.compile(r"\[([^\]]+)\]\((?:\.\./)+([^)#]+)(?:#[^)]*)?\)")
"""A link that leaves docs/: there is such a file on the forge and none in the site."""
TABLE = re.compile(r"<!-- table: (\w+) -->")


def on_files(files: Any, config: Any) -> Any:
    """Add the reference."""
    for place, page in PAGES.items():
        files.append(File.generated(config, place, content=page()))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Fill in the tables, and name files of the repository instead of linking to them."""
    if page.file.generated_by:
        return markdown
    return LINK.sub(_named, TABLE.sub(lambda found: TABLES[found[1]](), markdown))


def _named(link: re.Match[str]) -> str:
    text, path = link[1], link[2]
    bare = text.strip("`")
    return f"`{path}`" if path.endswith(bare) else f"{text} (`{path}`)"
