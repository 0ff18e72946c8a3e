"""``init``: a settings file in which every setting stands with its meaning and default."""

from __future__ import annotations

import json
import re
import textwrap
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from evolution_lab.config import (
    CONFIG_FILE,
    OVERRIDABLE,
    SETTING_NAMES,
    EvolutionConfig,
    find_settings,
    load_config,  # noqa: F401 - for the examples
)
from evolution_lab.errors import ConfigError, InputError, LakeError
from evolution_lab.telemetry.publishing import publish_bytes

_WIDTH: Final = 98
_UNSET: Final = {
    "auto_approve_threshold": 0.1,
    "time_zone": "Europe/Berlin",
    "specs": ["shop=openapi.json"],
    "exclude": ["GET /health*"],
    "never_auto_approve": ["billing.*"],
    "mappings": [{"timestamp": "Start:ns", "duration": "Took:us", "operation": "Name"}],
    "state_url": "postgresql://lab@db.example.com/lab",
    "alerts": {
        "webhook_env": "ALERTS_URL",
        "format": "slack",
        "lowest_severity": "medium",
        "cooldown": "30m",
    },
    "owners": {"billing-team": ["ada", "grace"]},
}
"""What is shown for settings whose default is nothing."""
_HEAD: Final = """\
Settings of evolution_lab. Every setting stands here with its meaning and its default; take the "#"
away from a line to set it. A flag wins over an EVOLUTION_LAB_<SETTING> variable of the environment,
that over this file. Lengths of time are a number and one of ms, s, m, h, d; shares are fractions,
0.05 for 5 %. The file is found in the lab directory (--data) or where a command is started."""
_OPERATIONS: Final = """\
Operations whose key matches a glob may have boundaries of their own; later sections win."""


def settings_text() -> str:
    """Return a settings file of every setting, each commented out at its default.

    Examples:
        >>> '# window = "15m"' in settings_text()
        True
    """
    meanings = setting_meanings()
    defaults = EvolutionConfig().to_settings()
    lines = [_comment(_HEAD), ""]
    for name in SETTING_NAMES:
        if name == "operations":
            continue
        default = defaults[name]
        lines.append(_comment(meanings.get(name, name)))
        if default is None or default in ([], {}):
            lines.append(f"# {name} = {_toml(_UNSET.get(name, default))}  # not set by default")
        else:
            lines.append(f"# {name} = {_toml(default)}")
        lines.append("")
    lines += [_comment(_OPERATIONS), '# [operations."billing.*"]']
    lines += [f"# {n} = {_toml(defaults[n])}" for n in SETTING_NAMES if n in OVERRIDABLE]
    return "\n".join(lines) + "\n"


def setting_meanings() -> dict[str, str]:
    """Return what each setting means, with its unit, by its name."""
    text = (EvolutionConfig.__doc__ or "").partition("Attributes:")[2]
    entries = re.split(r"\n\s*(?=[a-z_0-9]+: )", text)
    found = (entry.partition(":") for entry in entries if entry.strip())
    return {name.strip(): " ".join(said.split()) for name, _, said in found}


def write_settings(folder: str | Path) -> Path:
    """Write ``evolution_lab.toml`` into a folder.

    Args:
        folder: Where to; created when absent.

    Returns:
        The file.

    Raises:
        InputError: There is one already; it stays as it is.
        LakeError: The folder cannot be written to.

    Examples:
        >>> import tempfile
        >>> write_settings(tempfile.mkdtemp()).name
        'evolution_lab.toml'
    """
    path = Path(folder) / CONFIG_FILE
    if path.exists() or path.is_symlink():
        raise InputError(f"{path} exists already and is not overwritten; move it away first.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(settings_text())
    except OSError as error:
        raise LakeError(f"{path} cannot be written: {error.strerror}.") from error
    return path


def keep_mapping(
    folder: str | Path,
    mapping: Mapping[str, str],
    *,
    tz: str | None = None,
    file: Path | None = None,
) -> Path:
    """Keep a mapping of a table's columns for the next landing, at the end of the settings file.

    Args:
        folder: The lab directory; the file is made there where none is found.
        mapping: Roles to ``COLUMN[:UNIT]``.
        tz: Zone of times that carry none, where one was named.
        file: The settings file; else the one that is in force.

    Returns:
        The file; untouched where it holds the mapping already.

    Raises:
        ConfigError: The file is not valid, or sets ``mappings`` in a form that cannot be added to.
        LakeError: The file cannot be written.

    Examples:
        >>> import tempfile
        >>> lab = Path(tempfile.mkdtemp())
        >>> roles = {"timestamp": "Start:ns", "duration": "Took:us", "operation": "Name"}
        >>> load_config(path=keep_mapping(lab, roles), environment={}).mappings == (roles,)
        True
    """
    path = find_settings(file, Path(folder)) or Path(folder) / CONFIG_FILE
    entry = dict(sorted(mapping.items())) | ({"tz": tz} if tz else {})
    try:
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        if entry in _document(path, text).get("mappings", []):
            return path
        lines = [f"{name} = {_toml(value)}" for name, value in entry.items()]
        begun = text if not text or text.endswith("\n") else f"{text}\n"
        text = "\n".join([begun, "[[mappings]]", *lines, ""]).lstrip("\n")
        _document(path, text)
        publish_bytes(path, text.encode())
    except OSError as error:
        raise LakeError(f"{path} cannot be written: {error.strerror}.") from error
    return path


def _document(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"{path} cannot take a section [[mappings]]: {error}. Write its mappings in that form."
        ) from error


def _comment(text: str) -> str:
    return textwrap.fill(
        " ".join(text.split()),
        width=_WIDTH,
        initial_indent="# ",
        subsequent_indent="# ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _toml(value: Any) -> str:
    """Write a value; JSON's strings, numbers and booleans are TOML's."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_toml(each) for each in value)}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{_toml(k)} = {_toml(v)}' for k, v in value.items())} }}"
    return json.dumps(value, ensure_ascii=False)
