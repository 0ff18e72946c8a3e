from __future__ import annotations

import re
import runpy
from pathlib import Path

ROOT = Path(__file__).parents[1]
LICENCES = runpy.run_path(str(ROOT / "tests" / "licences.py"))
licence_of, pinned = LICENCES["licence_of"], LICENCES["pinned"]

REFUSED = re.compile(r"AFFERO|AGPL|(?<!L)GPL(?!.*LESSER)|UNKNOWN|PROPRIETARY", re.IGNORECASE)


def test_every_library_is_pinned_and_no_address_is_named() -> None:
    for path in sorted((ROOT / "requirements").glob("*.txt")):
        lines = path.read_text(encoding="utf-8").splitlines()
        named = [line for line in lines if line and not line.lstrip().startswith("#")]
        assert all("==" in line for line in named), path.name
        assert not any("://" in line for line in lines), path.name


def test_no_library_is_under_a_licence_that_we_refuse() -> None:
    found = {name: licence_of(name) for name in pinned()}
    silent = [name for name, licence in found.items() if licence == ""]
    assert silent == []
    refused = {
        name: licence for name, licence in found.items() if licence and REFUSED.search(licence)
    }
    assert refused == {}


def test_the_page_lists_them() -> None:
    listed = set(
        re.findall(r"^\| ([\w.-]+) \|", LICENCES["PAGE"].read_text(encoding="utf-8"), re.MULTILINE)
    )
    installed = {name for name in pinned() if licence_of(name)}
    assert installed <= listed, f"run python tests/licences.py: {installed - listed}"


def test_every_test_that_security_names_is_there() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)`", text)
    assert len(named) > 20
    assert [name for name in named if not (ROOT / name).is_file()] == []
