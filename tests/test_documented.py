"""Every public name and every setting says what it is for."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil

import pytest

import evolution_lab
from evolution_lab.config import SETTING_NAMES
from evolution_lab.lab.settings_file import setting_meanings

FOLDERS = sorted(
    f"evolution_lab.{module.name}"
    for module in pkgutil.iter_modules(evolution_lab.__path__)
    if module.ispkg and not module.name.startswith("_")
)


def says_something(thing: object) -> bool:
    said = (inspect.getdoc(thing) or "").strip()
    generated = dataclasses.is_dataclass(thing) and said.startswith(f"{thing.__name__}(")
    return bool(said) and not generated


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_public_name_is_documented(folder: str):
    home = importlib.import_module(folder)
    assert says_something(home)
    named = {name: getattr(home, name) for name in home.__all__}
    silent = [
        name
        for name, thing in named.items()
        if (inspect.isclass(thing) or inspect.isfunction(thing)) and not says_something(thing)
    ]
    assert silent == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_public_method_is_documented(folder: str):
    home = importlib.import_module(folder)
    silent = [
        f"{name}.{attribute}"
        for name in home.__all__
        if inspect.isclass(thing := getattr(home, name))
        for attribute, method in vars(thing).items()
        if inspect.isfunction(method)
        and method.__name__ == attribute  # Else it is the default of a field.
        and method.__module__.startswith("evolution_lab")
        and not attribute.startswith("_")
        and not says_something(method)
    ]
    assert silent == []


def test_every_setting_is_documented():
    assert all(setting_meanings()[name] for name in SETTING_NAMES)
