"""A hook of MkDocs: links from docs to the rest of the repository.

In the repository `../deploy/compose.yaml` is a file beside docs; the site has no such
page, so the link leads to the repository. A link to a file that does not exist fails
the strict build.
"""

import logging
import re
from pathlib import Path
from posixpath import normpath
from typing import Any

ROOT = Path(__file__).parents[1]
_LINK = re.compile(r"(\]\(|\]: )((?:\.\./)+[^)\s#]*)")

log = logging.getLogger("mkdocs.hooks.docs_links")


def on_page_markdown(markdown: str, page: Any, config: Any, **_: object) -> str:
    """The page's text, with links out of docs leading to the repository."""
    folder = Path("docs", page.file.src_uri).parent

    def absolute(match: re.Match[str]) -> str:
        path = normpath((folder / match[2]).as_posix())
        if path == "docs" or path.startswith("docs/"):
            return match[0]
        if path.startswith("..") or not (ROOT / path).exists():
            log.warning("%s links to %s, which does not exist", page.file.src_uri, path)
        return f"{match[1]}{config['repo_url'].rstrip('/')}/blob/main/{path}"

    return _LINK.sub(absolute, markdown)
