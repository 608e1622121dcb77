"""
The page's HTML: figures into the template, style and script into the page, and a policy around it.

What comes from logs was written by strangers. The template escapes everything, data for the script
is JSON in which no tag can begin, the script puts text into text nodes only, and the page's policy
lets nothing run but the very scripts that are written here, by their hashes, and nothing load.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from oracle.audit.page.content import content
from oracle.audit.record import RoundRecord
from oracle.audit.report import Report
from oracle.chain.deployment import Deployment

SCRIPTS = ("vendored/uPlot.iife.min.js", "vendored/dataTables.min.js", "page.js")
LICENCES = {"uPlot": "vendored/uPlot.LICENSE", "DataTables": "vendored/dataTables.LICENSE"}
STYLES = ("vendored/uPlot.min.css", "page.css")


def page(
    deployment: Deployment,
    report: Report,
    records: Sequence[RoundRecord],
    names: Mapping[int, str] | None = None,
) -> str:
    """
    Return an audit as a page; `names` are what the caller calls some nodes.

    `records` are those of the audit that made the report.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    scripts, styles = [_read(name) for name in SCRIPTS], [_read(name) for name in STYLES]
    shown = content(deployment, report, records, names)
    return environment.from_string(_read("page.html")).render(
        **shown,
        policy=_policy(scripts, styles),
        scripts=[Markup(text) for text in scripts],
        styles=[Markup(text) for text in styles],
        licences={library: _read(name) for library, name in LICENCES.items()},
        json=Markup(_json(shown["data"])),
    )


def _policy(scripts: Sequence[str], styles: Sequence[str]) -> str:
    allowed = {"script-src": scripts, "style-src": styles}
    parts = ["default-src 'none'"]
    parts += [f"{kind} {' '.join(map(_hash, texts))}" for kind, texts in allowed.items()]
    return "; ".join([*parts, "base-uri 'none'", "form-action 'none'"])


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def _json(data: Mapping[str, Any]) -> str:
    """Return JSON that is safe between the tags of a script: no `<`, so no tag begins or ends."""
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def _read(name: str) -> str:
    """Return a file of this package; browsers hash text with line feeds alone."""
    path = files(__package__).joinpath(name)
    return path.read_text(encoding="utf-8").replace("\r\n", "\n")
