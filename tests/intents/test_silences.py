"""Mutes and maintenance windows: kept, ended early, and in force for what they name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from evolution_lab.errors import InputError, TimeZoneRequiredError, UnknownNameError
from evolution_lab.intents.silence_store import SilenceStore
from evolution_lab.intents.silences import Silence, Silences

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def mute(store: SilenceStore, operations: str = "billing.*", **more: object) -> Silence:
    given = {"kind": "mute", "begins_at": NOW, "ends_at": NOW + HOUR, "why": "known", "by": "ada"}
    return store.add(operations, now=NOW, **{**given, **more})  # type: ignore[arg-type]


def check_store(store: SilenceStore) -> None:
    assert store.all() == Silences()
    first = mute(store)
    second = mute(store, "GET /x[1]/{id}", why='it\'s "odd"; DROP TABLE silences; --')
    assert set(store.all().silences) == {first, second}
    assert second.covers("GET /x[1]/{id}", NOW)
    lifted = store.lift("billing.*", kind="mute", by="grace", now=NOW + HOUR / 2)
    assert [s.lifted_by for s in lifted] == ["grace"]
    assert not lifted[0].covers("billing.pay", NOW + HOUR * 0.7)
    assert lifted[0].covers("billing.pay", NOW + HOUR * 0.3)
    with pytest.raises(UnknownNameError):
        store.lift("billing.*", kind="mute", by="grace", now=NOW + HOUR / 2)
    with pytest.raises(UnknownNameError):
        store.lift(second.id, kind="maintenance", by="grace", now=NOW)


def test_silences_are_kept_and_ended(tmp_path: Path):
    check_store(SilenceStore(tmp_path))


def test_silences_are_kept_in_postgres_too(postgres: str, tmp_path: Path):
    check_store(SilenceStore(tmp_path, postgres))
    assert not (tmp_path / "evolution.duckdb").exists()


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"why": " "}, InputError),
        ({"operations": ""}, InputError),
        ({"ends_at": NOW}, InputError),
        ({"begins_at": NOW - 3 * HOUR, "ends_at": NOW - HOUR}, InputError),
        ({"ends_at": datetime(2027, 1, 1)}, TimeZoneRequiredError),  # noqa: DTZ001
        ({"why": "a\0b"}, InputError),
    ],
)
def test_a_silence_that_breaks_a_rule_is_refused(
    more: dict[str, object], error: type[Exception], tmp_path: Path
):
    with pytest.raises(error):
        mute(SilenceStore(tmp_path), **more)
