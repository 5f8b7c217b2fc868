"""A page opened in headless Chromium: what it became, and what it said on the console."""

import shutil
import subprocess
from pathlib import Path

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--hide-scrollbars",
]


def opened(page: Path, *flags: str, milliseconds: int = 5000) -> tuple[str, list[str]]:
    """The document after so many milliseconds of the page's own time, and its console's lines."""
    browser = shutil.which("chromium")
    assert browser, (
        "This test opens the page in a browser: install Debian's package `chromium` (apt-get"
        " install chromium)."
    )
    command = [
        browser,
        *FLAGS,
        *flags,
        f"--virtual-time-budget={milliseconds}",
        f"--user-data-dir={page.parent / 'profile'}",
        "--dump-dom",
        page.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]
