"""``Lab``: the one object a notebook needs. Every method is one call into a folder of the line.

Beside it what a first hour and every night need: ``examine_lab`` (``doctor``) and ``write_settings``
(``init``), ``walk_the_line`` (``run``). Names are resolved at first use, so that those cost no import of the whole line.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evolution_lab.lab.every_night import NightlyRun, walk_the_line
    from evolution_lab.lab.examining import examine_lab
    from evolution_lab.lab.installation import Check, Examination, examine_installation
    from evolution_lab.lab.notebook_folder import copy_notebooks
    from evolution_lab.lab.opened import OpenedLab
    from evolution_lab.lab.settings_file import keep_mapping, settings_text, write_settings
    from evolution_lab.lab.whole import Lab

_HOMES = {
    "Check": "installation",
    "Examination": "installation",
    "Lab": "whole",
    "NightlyRun": "every_night",
    "OpenedLab": "opened",
    "copy_notebooks": "notebook_folder",
    "examine_installation": "installation",
    "examine_lab": "examining",
    "keep_mapping": "settings_file",
    "settings_text": "settings_file",
    "walk_the_line": "every_night",
    "write_settings": "settings_file",
}

__all__ = [
    "Check",
    "Examination",
    "Lab",
    "NightlyRun",
    "OpenedLab",
    "copy_notebooks",
    "examine_installation",
    "examine_lab",
    "keep_mapping",
    "settings_text",
    "walk_the_line",
    "write_settings",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'evolution_lab.lab' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"evolution_lab.lab.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
