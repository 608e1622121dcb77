"""
The file of an audit's page.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from oracle.cli.exits import Exit, Stop
from oracle.cli.output import Output

if TYPE_CHECKING:
    from oracle.audit.record import RoundRecord
    from oracle.audit.report import Report
    from oracle.chain.deployment import Deployment


def write_page(
    path: Path,
    output: Output,
    deployment: Deployment,
    report: Report,
    records: Sequence[RoundRecord],
    names: Mapping[int, str] | None = None,
) -> None:
    """Write an audit's page, completely or not at all, and say so; raise `Stop` if it cannot be."""
    from oracle.audit.page.html import page

    content = page(deployment, report, records, names).encode("utf-8", "backslashreplace")
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(content)
        os.replace(draft, path)
    except OSError as error:
        raise Stop(Exit.USAGE, f"{path} cannot be written: {error.strerror}.") from None
    output.say(f"The page is {path}, {len(content):,} bytes, complete without a network.")
