"""Who calls the system: a function of the user's, or HTTP to a service."""

from __future__ import annotations

import importlib
import importlib.util
import ipaddress
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from evolution_lab.errors import InputError, MissingExtraError, UnknownNameError
from evolution_lab.golden.http_snapshots import RESPONSE_HEADERS


class GoldenRunner(Protocol):
    """Calls the operation; sync or async. What it raises is the recorded error, or is not."""

    def __call__(self, sent: Any, metadata: Mapping[str, Any], /) -> Any:
        """Return the output.

        Args:
            sent: The recorded input, sanitised.
            metadata: ``operation``, and ``channel`` where known; never a user's id.
        """
        ...


@dataclass(frozen=True)
class LoadedRunner:
    """A runner with what is called around each case.

    Attributes:
        run: The runner.
        setup: Called with a case's title before it.
        teardown: Called with a case's title after it, whatever became of it.
    """

    run: GoldenRunner
    setup: Callable[[str], Any] | None = None
    teardown: Callable[[str], Any] | None = None


def load_runner(runner_import: str, runner_fn: str, *, folder: Path | None = None) -> LoadedRunner:
    """Load a Python runner.

    Args:
        runner_import: A path (``.py`` implied where it has a slash) or a dotted name.
        runner_fn: The function's name.
        folder: What a relative path is relative to; the current directory unless given.

    Raises:
        InputError: It cannot be imported.
        UnknownNameError: It has no such function.
    """
    try:
        if runner_import.endswith(".py") or "/" in runner_import:
            path = ((folder or Path.cwd()) / runner_import).resolve()
            if path.suffix != ".py":
                path = path.with_name(f"{path.name}.py")
            spec = importlib.util.spec_from_file_location(path.stem.replace("-", "_"), path)
            if spec is None or spec.loader is None:
                raise ImportError(f"{path.name} is no Python file")
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        else:
            here = os.fspath(Path.cwd())
            if here not in sys.path:
                sys.path.insert(0, here)
            module = importlib.import_module(runner_import)
    except Exception as error:
        raise InputError(
            f"runner-import == {runner_import!r} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    run = getattr(module, runner_fn, None)
    if not callable(run):
        raise UnknownNameError("function of the runner", runner_fn, vars(module))
    return LoadedRunner(run, getattr(module, "setup", None), getattr(module, "teardown", None))


def http_runner(
    base_url: str,
    *,
    headers: Mapping[str, str] | None = None,
    allow_targets: Sequence[str] = (),
) -> LoadedRunner:
    """Return a runner that calls a service over HTTP.

    Args:
        base_url: Where it answers.
        headers: Sent with every request: who asks is in no suite.
        allow_targets: Hosts that may be called though they are not of this machine.

    Raises:
        InputError: The host is neither of this machine nor allowed.

    Examples:
        >>> http_runner("http://127.0.0.1:8000").setup is None
        True
        >>> http_runner("https://api.example.com")
        Traceback (most recent call last):
        evolution_lab.errors.InputError: ...must be of this machine, or allowed by --allow-target...
    """
    check_target(base_url, allow_targets)
    try:
        http = importlib.import_module("evolution_lab.golden.standalone.http_runner")
    except ImportError as error:
        raise MissingExtraError("demo", "runners over HTTP") from error

    def run(sent: Any, metadata: Mapping[str, Any]) -> Any:
        merged = {**sent, "headers": {**(sent.get("headers") or {}), **(headers or {})}}
        return http.run_http(merged, metadata, base_url, sorted(RESPONSE_HEADERS))

    return LoadedRunner(run)


def check_target(base_url: str, allow_targets: Sequence[str] = ()) -> None:
    """Refuse a target that recorded writes must not reach.

    Raises:
        InputError: The host is neither of this machine nor allowed.
    """
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    if parts.scheme not in {"http", "https"} or not host:
        raise InputError(f"base-url == {base_url!r}, must begin with http:// or https://.")
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    if not local and host not in allow_targets:
        raise InputError(
            f"base-url == {base_url!r}: {host} must be of this machine, or allowed by "
            f"--allow-target {host}: recorded calls may write there."
        )


def suite_import(runner_import: str, output: Path, framework: str) -> str:
    """Return a ``--runner-import`` as the suite writes it.

    A path is taken from the current directory and written relative to the suite; ``.py`` is implied
    for pytest, TypeScript keeps the ending that is given. A dotted name stays as it is for pytest;
    a bare package name stays as it is for TypeScript.

    Examples:
        >>> suite_import("./tests/run-operation", Path("tests/a.golden.test.ts"), "vitest")
        './run-operation'
        >>> suite_import("tests/run-operation", Path("tests/deep/test_a.py"), "pytest")
        '../run-operation.py'
        >>> suite_import("shop.testing.runner", Path("tests/test_a.py"), "pytest")
        'shop.testing.runner'
    """
    is_path = "/" in runner_import or "\\" in runner_import or runner_import.startswith(".")
    if framework == "pytest":
        is_path = is_path or runner_import.endswith(".py") or "-" in runner_import
        if not is_path:
            if not all(part.isidentifier() for part in runner_import.split(".")):
                raise InputError(
                    f"runner-import == {runner_import!r}, must be a path or a dotted name."
                )
            return runner_import
    elif not is_path or runner_import.startswith(("@", "#", "~")):
        return runner_import
    relative = Path(os.path.relpath(runner_import, output.parent)).as_posix()
    if framework == "pytest":
        return relative if relative.endswith(".py") else f"{relative}.py"
    return relative if relative.startswith(".") else f"./{relative}"
