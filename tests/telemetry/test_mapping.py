"""The grammar of ``--map`` and the messages of its mistakes."""

from __future__ import annotations

import shlex

import pytest

from evolution_lab.errors import MappingError
from evolution_lab.telemetry.guessing import example_line, needs_mapping
from evolution_lab.telemetry.mapping import (
    ColumnMapping,
    Condition,
    RoleColumn,
)

NEEDED = ["operation=Name", "timestamp=Start:ns", "duration=Took:us"]


def test_units_conditions_and_plain_columns():
    mapping = ColumnMapping.parse(
        [*NEEDED, "success=status:OK|UNSET", "error=code:>=500", "tenant=org:id"]
    )
    assert mapping.roles["timestamp"] == RoleColumn("Start", unit="ns")
    assert mapping.roles["success"] == RoleColumn(
        "status", condition=Condition("in", ("OK", "UNSET"))
    )
    assert mapping.roles["error"] == RoleColumn("code", condition=Condition(">=", ("500",)))
    assert mapping.roles["tenant"] == RoleColumn("org:id")


def test_a_mapping_says_itself_as_it_was_given():
    items = sorted([*NEEDED, "error=code:>=500", "success=status:OK|UNSET"])
    assert str(ColumnMapping.parse(items)).split(" ") == items
    assert ColumnMapping.parse(ColumnMapping.parse(items).to_settings()) == ColumnMapping.parse(
        items
    )


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (["operaton=Name"], "unknown role 'operaton'. Did you mean 'operation'?"),
        (["operation"], "must be ROLE=COLUMN"),
        (["operation="], "must be ROLE=COLUMN"),
        (["duration=Took:mss"], "unknown unit 'mss'.*Did you mean 'ms'?"),
        (["error=code:>=many"], "must be a number"),
        (["operation=a", "operation=b"], "mapped twice"),
        (["operation=Name", "timestamp=Start:ns"], "lacks duration"),
        (["duration=Took:us"], "lacks timestamp and operation"),
    ],
)
def test_mistakes_are_named(items, message):
    with pytest.raises(MappingError, match=message):
        ColumnMapping.parse(items)


def test_a_missing_column_names_the_nearest_one():
    mapping = ColumnMapping.parse(NEEDED)
    with pytest.raises(MappingError, match=r"'Took'.*Did you mean 'Tookk'"):
        mapping.check_columns(["Name", "Start", "Tookk"])
    with pytest.raises(MappingError, match="'Name' stands 2 times"):
        mapping.check_columns(["Name", "Start", "Took", "Name"])


def test_names_that_say_their_role_need_no_mapping():
    guessed = ColumnMapping.guess(["operation_key", "operation", "timestamp_ms", "duration_ns"])
    assert guessed is not None
    assert (
        str(guessed) == "duration=duration_ns:ns operation=operation_key timestamp=timestamp_ms:ms"
    )
    assert ColumnMapping.guess(["Operation", "Start", "Took"]) is None


def test_an_unclear_table_gets_a_line_to_start_from():
    message = str(needs_mapping(["SpanName", "StartTimeUnixNano", "DurationMs"]))
    assert "timestamp or the duration or the operation" in message
    assert "--map timestamp=StartTimeUnixNano:ns --map duration=DurationMs:ms" in message
    assert "--map operation=SpanName" in message


def test_roles_answer_to_the_lakes_own_names():
    given = ["operation_key=a", "timestamp=b:ns", "duration=c:us", "parent_span_id=d", "user=e"]
    mapping = ColumnMapping.parse(given)
    assert set(mapping.roles) == {"operation", "timestamp", "duration", "parent", "actor"}
    with pytest.raises(MappingError, match="'parent' is mapped twice"):
        ColumnMapping.parse([*given, "parent=f"])


def test_a_hostile_column_name_is_quoted_in_the_line_to_start_from():
    line = example_line(["Start", "Took; rm -rf ~ #duration", "it's the operation"])
    words = shlex.split(line)
    assert words[1::2] == [
        "timestamp=Start",
        "duration=Took; rm -rf ~ #duration:ms",
        "operation=it's the operation",
    ]


def test_a_known_unit_is_taken_before_a_guessed_one():
    both = ["OperationName", "StartTimeUnixNano", "EndTimeUnixNano", "Duration"]
    assert "--map end=EndTimeUnixNano:ns" in example_line(both)
    assert "--map duration=DurationUs:us" in example_line([*both[:3], "DurationUs"])
    assert "--map duration=Duration:ms" in example_line([both[0], both[1], both[3]])
    assert "--map duration=durations:ms" in example_line([both[0], both[1], "durations"])
