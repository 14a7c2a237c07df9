"""The site: `make site` builds it from these pages and the docstrings, without a framework and without a network."""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path
from typing import Any

import xaicore

SOURCE = os.environ.get("SITE_SOURCE", "")
"""The address of the repository's files at a code host, for links that leave this folder; without it they are text."""

project = html_title = "xaicore"
version = release = xaicore.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["html_image"]
myst_heading_anchors = 4

# The tutorials are executed anew for their pictures: a cache would keep those of an older xaicore. Keras runs on torch,
# which is there. SITE_NOTEBOOKS=off leaves them as they are.
nb_execution_mode = os.environ.get("SITE_NOTEBOOKS", "force")
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_output_stderr = "remove"
os.environ.setdefault("KERAS_BACKEND", "torch")

autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_numpy_docstring = False
default_role = "code"

html_theme = "furo"
html_show_copyright = False
html_sourcelink_suffix = ""  # llms.txt names the sources


def unlink(app: Any, docname: str, source: list[str]) -> None:
    """Point links that leave this folder at the code host; where there is none, keep their text alone."""
    folder = posixpath.dirname(posixpath.join("docs", docname))

    def link(found: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(folder, found["path"]))
        if path.startswith("docs/"):
            return found[0]
        return f"[{found['text']}]({SOURCE}/{path})" if SOURCE else found["text"]

    source[0] = re.sub(r"\[(?P<text>[^]]*)\]\((?P<path>\.\./[^)#]+)\)", link, source[0])


def escape(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Escape what reStructuredText would read as markup: the stars of shapes (N, *S), the bars of |G|."""
    for i, line in enumerate(lines):
        parts = line.split("`")
        parts[::2] = (re.sub(r"([*|])", r"\\\1", part) for part in parts[::2])  # not between backticks
        lines[i] = "`".join(parts)


def write_llms(app: Any, exception: Exception | None) -> None:
    """Write llms.txt: each page's title, first sentence and source, if that is all the page has."""
    if exception or app.builder.name != "html":
        return
    index = [f"# {project}\n", f"> {xaicore.__doc__.splitlines()[0]}\n", "## Pages\n"]
    for page in _order(app.env, "index"):
        title = app.env.titles[page].astext()
        text = app.env.get_doctree(page).next_node(lambda node: node.tagname == "paragraph")
        first = re.split(r"(?<=[.?]) ", " ".join(text.astext().split()))[0] if text else ""
        source = app.env.doc2path(page)
        is_made = re.search(r"^```{(eval-rst|include)}", source.read_text(encoding="utf-8"), re.M)
        link = f"{page}.html" if is_made else f"_sources/{page}{source.suffix}"
        index.append(f"- [{title}]({link}): {first}")
    Path(app.outdir, "llms.txt").write_text("\n".join(index) + "\n", encoding="utf-8")


def _order(env: Any, page: str) -> list[str]:
    """A page and those below it, as the navigation has them."""
    return [page, *(below for child in env.toctree_includes.get(page, ()) for below in _order(env, child))]


def setup(app: Any) -> None:
    """Connect the three functions above."""
    app.connect("source-read", unlink)
    app.connect("autodoc-process-docstring", escape)
    app.connect("build-finished", write_llms)
