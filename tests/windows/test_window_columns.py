from __future__ import annotations

from evolution_lab.windows.window_columns import RoleColumn, column_roles

REQUIRED = ["window_start", "operation", "calls"]


def test_columns_called_like_their_role_need_no_item():
    roles = column_roles((), [*REQUIRED, "p99_ns", "requests"])
    assert roles["start"] == RoleColumn("window_start")
    assert roles["p99"] == RoleColumn("p99_ns")
    assert roles["calls"] == RoleColumn("calls"), "the first name of a role wins"


def test_an_item_wins_over_a_name():
    assert column_roles(["calls=n"], [*REQUIRED, "n"])["calls"] == RoleColumn("n")


def test_a_column_with_a_colon_in_its_name_is_that_column():
    columns = [*REQUIRED, "latency:p99", "a=b"]
    assert column_roles(["p99=latency:p99"], columns)["p99"] == RoleColumn("latency:p99")
    assert column_roles(["p99=latency:p99:ms"], columns)["p99"] == RoleColumn("latency:p99", "ms")
    assert column_roles(["p99=a=b:s"], columns)["p99"] == RoleColumn("a=b", "s")
