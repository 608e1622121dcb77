"""What a Python process does first that a test started: it keeps to this machine, see loopback."""

import runpy
from pathlib import Path

runpy.run_path(str(Path(__file__).resolve().parent.parent / "loopback.py"))["install"]()
