"""Peers on labelled payloads: judged by the same rule, and a reason where one cannot be asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from evolution_lab.bench import golden_pii_peers
from evolution_lab.bench.golden_pii_peer_program import cleaned
from evolution_lab.bench.golden_pii_peers import first_of_each_layout, pii_peers
from evolution_lab.bench.personal_payloads import labelled_payloads

PAYLOADS = list(labelled_payloads(8, seed=3))


def test_a_peer_that_does_not_install_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = {"nobody": (f"{tmp_path}/no-such-package-1.0-py3-none-any.whl",)}
    monkeypatch.setattr(golden_pii_peers, "PACKAGES", missing)
    (peer,) = pii_peers(PAYLOADS, folder=tmp_path).peers
    assert peer.value is None
    assert peer.note.startswith("does not install or run:")


def test_what_remains_and_what_is_taken_too_much_is_counted() -> None:
    kept = {"payloads": [each.payload for each in PAYLOADS], "cpuSeconds": 2.0}
    values = {p.what: p.value for p in golden_pii_peers._report("none", PAYLOADS, kept).peers}
    assert values["G5-typed-leaks"] == 1.0
    assert values["G5-over-redaction"] == 0.0
    assert values["G5-speed"] == 4.0
    gone = kept | {"payloads": [cleaned(each.payload, lambda _: "x") for each in PAYLOADS]}
    values = {p.what: p.value for p in golden_pii_peers._report("all", PAYLOADS, gone).peers}
    assert values["G5-typed-leaks"] == 0.0
    assert (values["G5-over-redaction"] or 0.0) > 0.5


def test_each_layout_has_its_share() -> None:
    chosen = list(first_of_each_layout(PAYLOADS, 4))
    assert sorted(each.layout for each in chosen) == ["clear", "free text", "opaque", "vague"]
