"""The GraphiQL page; this server serves its assets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape

from flask import url_for

# Each URL has the version, so browsers may cache the file for ever.
_STYLES = (("graphiql.min.css", "4.1.2"), ("graphiql-start.css", "2"))
_SCRIPTS = (
    ("react.production.min.js", "18.3.1"),
    ("react-dom.production.min.js", "18.3.1"),
    ("graphiql.min.js", "4.1.2"),
    ("graphiql-start.js", "4"),
)

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>GraphiQL</title>
<link rel="icon" type="image/svg+xml" href="{icon}">
{styles}
</head>
<body>
<div id="graphiql" data-endpoint="{endpoint}" data-csrf-token="{token}" data-home="{home}"
 data-examples="{examples}">GraphiQL needs JavaScript.</div>
{scripts}
</body>
</html>
"""


def page(endpoint: str, examples: Sequence[str], csrf_token: str = "", home: tuple[str, str] | None = None) -> str:
    """Returns the page, which sends its requests to `endpoint` and opens with one tab per example.

    Its requests carry a `csrf_token` that is not empty as the header X-CSRF-Token. Needs an application context: the
    assets are static files of the application, under `graphiql/`.
    """
    styles = (f'<link rel="stylesheet" href="{_asset(*style)}">' for style in _STYLES)
    scripts = (f'<script src="{_asset(*script)}"></script>' for script in _SCRIPTS)
    return _PAGE.format(
        icon=_asset("graphiql.svg", "1"),
        styles="\n".join(styles),
        scripts="\n".join(scripts),
        endpoint=escape(endpoint),
        token=escape(csrf_token),
        home=escape(json.dumps(home)),
        examples=escape(json.dumps(list(examples))),
    )


def _asset(name: str, version: str) -> str:
    return escape(url_for("static", filename=f"graphiql/{name}", v=version))
