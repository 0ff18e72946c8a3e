"""The golden commands, from recorded traffic to a verdict."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from evolution_lab.cli import main
from evolution_lab.golden import LakeTrafficStore
from evolution_lab.records import OperationRef, RecordedError, TrafficSnapshot

NOW = datetime.now(UTC)
RUNNER = """\
PRICES = {"a": 3, "b": 4}


class NoSuchItem(Exception):
    code = "no_such_item"


def run_contract(sent, metadata):
    assert metadata["operation"] == "cart.add", metadata
    if sent["sku"] not in PRICES:
        raise NoSuchItem(f"no item {sent['sku']}")
    return {"sku": sent["sku"], "total": PRICES[sent["sku"]] * sent["n"]}
"""


def snapshot(number, sku, *, days=1.0, rate=0.05):
    known = {"a": 3, "b": 4}.get(sku)
    sent = {"sku": sku, "n": number}
    return TrafficSnapshot(
        id=f"s{number}-{sku}",
        operation=OperationRef("cart.add"),
        input=sent,
        output={"sku": sku, "total": known * number} if known else None,
        error=None
        if known
        else RecordedError(name="NoSuchItem", code="no_such_item", message=f"no item {sku}"),
        success=known is not None,
        timestamp=NOW - timedelta(days=days),
        user_id="u-1",
        sample_rate=rate,
    )


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A folder with recorded traffic and a runner."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    calls = [snapshot(n, sku) for n in range(1, 4) for sku in ("a", "b", "zz")]
    LakeTrafficStore("data").add([*calls, snapshot(9, "a", days=20)])
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "run-operation.py").write_text(RUNNER)
    return tmp_path


def generate(*more, output="tests/test_cart.golden.py"):
    return main(
        ["test", "generate", "--operation", "cart.add", "--output", output,
         "--runner-import", "./tests/run-operation", "--from-production", *more]
    )  # fmt: skip


def run_json(capsys, *arguments):
    capsys.readouterr()
    code = main([*arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_generated_tests_pass_and_say_each_verdict_apart(shop, capsys):
    assert generate("--days", "7", "--sample-rate", "0.05", "--verify") == 0
    code, found = run_json(capsys, "test", "run", "tests")
    assert code == 0
    assert found["verdicts"]["pass"] == len(found["results"]) == 9
    runner = shop / "tests" / "run-operation.py"
    for old, new, verdict, expected in (
        ('"b": 4', '"b": 5', "drift", 1),
        ('"no_such_item"', '"not_found"', "wrong-error", 1),
        ("not in PRICES:", "not in [*PRICES, 'zz']:", "wrong-error", 1),
        ('raise NoSuchItem(f"no item', 'return (f"no item', "missing-error", 1),
        ("return {", "import time; time.sleep(30); return {", "timeout", 1),
        ("def run_contract", "def another", "could-not-run", 2),
    ):
        runner.write_text(RUNNER.replace(old, new))
        if verdict == "timeout":
            continue
        code, found = run_json(capsys, "test", "run", "tests/test_cart.golden.py")
        assert (code, found["verdicts"][verdict] > 0) == (expected, True), verdict


def test_the_suite_names_no_user_and_regenerates_byte_for_byte(shop, capsys):
    assert generate() == 0
    files = {p.name: p.read_bytes() for p in (shop / "tests").iterdir() if p.is_file()}
    assert b"u-1" not in b"".join(files.values())
    assert generate() == 0
    assert files == {p.name: p.read_bytes() for p in (shop / "tests").iterdir() if p.is_file()}


def test_one_more_call_changes_only_its_own_lines(shop):
    assert generate() == 0
    before = (shop / "tests" / "test_cart.golden.py").read_text().splitlines()
    LakeTrafficStore("data").add([snapshot(77, "a")])
    assert generate() == 0
    after = (shop / "tests" / "test_cart.golden.py").read_text().splitlines()
    added = len(after) - len(before)
    start = next(i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b)
    assert 0 < added < 25
    assert before == after[:start] + after[start + added :]


def test_an_accepted_change_is_expected_and_logged(shop, capsys):
    generate()
    runner = shop / "tests" / "run-operation.py"
    runner.write_text(RUNNER.replace('"b": 4', '"b": 5'))
    code, found = run_json(capsys, "test", "check", "tests")
    assert code == 1
    assert [group["group"] for group in found["groups"]] == ["cart.add /total value"]
    suite = "tests/test_cart.golden.py"
    assert main(["test", "update", suite, "--only", "cart.add /total value", "--why", " "]) == 2
    done = main(
        ["test", "update", suite, "--only", "/total", "--why", "dearer since May", "--by", "eve"]
    )
    assert done == 0
    assert main(["test", "run", suite]) == 0
    side = json.loads((shop / "tests" / "test_cart.golden.meta.json").read_text())
    assert [(a["why"], a["by"], len(a["cases"])) for a in side["accepted"]] == [
        ("dearer since May", "eve", 3)
    ]


def test_what_the_service_does_not_reproduce_is_set_aside(shop, capsys):
    runner = shop / "tests" / "run-operation.py"
    runner.write_text(RUNNER.replace('"b": 4', '"b": 5'))
    assert generate("--verify") == 0
    side = json.loads((shop / "tests" / "test_cart.golden.meta.json").read_text())
    reasons = [q["reason"] for q in side["suite"]["quarantined"]]
    assert len(reasons) == 3
    assert all("not reproduced" in reason and "/total value" in reason for reason in reasons)


def test_days_without_traffic_name_the_newest_call_and_the_command(shop, capsys):
    assert generate("--days", "0.5") == 2
    said = capsys.readouterr().err
    assert "the newest call is of" in said
    assert "--days 2" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--runner-fn", "class"], "must be a name"),
        (["--framework", "mocha"], "pytest, vitest or jest"),
        (["--framework", "jest"], "does not run .py"),
        (["--sample-rate", "2"], "at most 1"),
        (["--runner", "grpc"], "must be http"),
    ],
)
def test_what_cannot_be_written_is_refused(shop, capsys, arguments, said):
    assert generate(*arguments) == 2
    assert said in capsys.readouterr().err


def test_a_target_that_is_not_local_must_be_allowed(shop, capsys):
    code = main(
        ["test", "generate", "--operation", "cart.add", "--output", "tests/test_h.py",
         "--runner", "http", "--base-url", "https://api.example.com", "--verify"]
    )  # fmt: skip
    assert code == 2
    assert "--allow-target api.example.com" in capsys.readouterr().err


def test_all_operations_in_one_go_in_either_language(shop, capsys):
    code, found = run_json(
        capsys, "test", "generate-all", "--output", "golden", "--framework", "jest",
        "--runner-import", "./tests/run-operation",
    )  # fmt: skip
    assert code == 0
    assert [(s["operation"], s["cases"], s["output"]) for s in found["suites"]] == [
        ("cart.add", 10, "golden/cart.add.golden.test.ts")
    ]
    written = (shop / "golden" / "cart.add.golden.test.ts").read_text()
    assert 'from "../tests/run-operation"' in written
    assert 'from "@jest/globals"' in written


@pytest.mark.parametrize("name", ["runner.py", "deep/runner.ts"])
def test_a_starter_is_written_once(tmp_path, monkeypatch, name, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["test", "init-runner", name]) == 0
    assert main(["test", "init-runner", name]) == 2
    assert "is there already" in capsys.readouterr().err
