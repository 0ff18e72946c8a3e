"""The five services and what is measured on them, small: the full measure is `bench golden`."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from evolution_lab.bench.golden_services import (
    asking,
    measured_code,
    measured_flake,
    new_service,
    pairs,
    service_module,
)
from evolution_lab.bench.golden_speed import generation
from evolution_lab.bench.services import RealWorld, served, served_by_node
from evolution_lab.bench.services.traffic import recording
from evolution_lab.golden.generator import structure


def test_services_stay_green_while_nothing_changes(require_or_skip: Any) -> None:
    if shutil.which("node") is None:
        require_or_skip("node", "node is not on the PATH")
    report = measured_flake(1, 16, least=20)
    assert report.passed, report.to_dicts()


def test_changes_of_code_turn_cases_red() -> None:
    report = measured_code(6, 25, sites=1)
    shares = {target.id: target.value for target in report.targets}
    assert all(share is not None and share >= 0.75 for share in shares.values()), shares


def test_two_recordings_tell_what_changes() -> None:
    assert pairs(quick=True).passed


def test_the_speed_is_measured() -> None:
    target = generation(quick=True).targets[0]
    assert target.value is not None
    assert target.value > 200


@pytest.mark.parametrize("name", ["orders", "bookings"])
def test_both_languages_answer_alike(name: str, require_or_skip: Any) -> None:
    if shutil.which("node") is None:
        require_or_skip("node", "node is not on the PATH")
    found = []
    for start in (
        lambda: served(new_service(service_module(name), RealWorld(1))),
        lambda: served_by_node(name, 1),
    ):
        with start() as url:
            calls = recording(name, asking(url)[0], sessions=60, seed=3)
        found.append([(s.operation.key, s.output["status"], structure(s.output)) for s in calls])
    assert found[0] == found[1]
