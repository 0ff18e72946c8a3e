"""What of personal data and secrets remains after sanitising: in Parquet bytes and in emitted suites.

On payloads of our own whose places are known (several languages, seeded), and on labelled ones of
others where the folder is given. A value remains where it is found as it was, in upper or lower case,
URL-encoded, in base64, escaped in JSON, or by its digits alone.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import polars as pl

from evolution_lab.bench.golden_pii_peers import first_of_each_layout, pii_peers
from evolution_lab.bench.personal_payloads import TYPED, LabelledPayload, labelled_payloads
from evolution_lab.bench.targets import BenchReport, Target, share_interval
from evolution_lab.errors import PathNotFoundError
from evolution_lab.golden.emitting import emit
from evolution_lab.golden.generator import GoldenTestGenerator
from evolution_lab.golden.side_files import EmitSettings
from evolution_lab.golden.snapshot_sanitising import SnapshotSanitiser, SnapshotSettler
from evolution_lab.golden.store import InMemoryTrafficStore
from evolution_lab.golden.store_lake import LakeTrafficStore
from evolution_lab.records import OperationRef, TrafficSnapshot
from evolution_lab.redaction.payloads import PayloadSanitiser
from evolution_lab.redaction.pseudonyms import LabKey

_KEY: Final = LabKey(b"bench of sanitising, 32 bytes ok")
_STYLES: Final = {
    "clear_keys": "clear", "vague_keys": "vague", "opaque_keys": "opaque", "free_text": "free text",
}  # fmt: skip
_START: Final = datetime(2026, 1, 1, tzinfo=UTC)


def bench_pii(*, quick: bool = False) -> BenchReport:
    """Measure what sanitising leaves of our own payloads, what it takes too much, and how fast it is.

    Args:
        quick: 400 payloads instead of 2,000.

    Raises:
        MissingExtraError: Faker is not installed.
    """
    own = list(labelled_payloads(400 if quick else 2000, seed=20_261))
    return _judged("own", own) + _speed(own)


def judged_corpus(dataset: Path, *, quick: bool = False) -> BenchReport:
    """Measure the same on labelled payloads of others.

    Args:
        dataset: Folder of recordings; ``pii`` is the corpus.
        quick: Changes nothing: it is small.

    Raises:
        PathNotFoundError: The folder lacks the corpus.
    """
    del quick
    return _judged("corpus", list(_corpus(dataset / "pii")))


def judged_peers(dataset: Path, *, quick: bool = False) -> BenchReport:
    """Measure presidio, datafog and scrubadub beside this package on labelled payloads of others.

    Args:
        dataset: Folder of recordings; ``pii`` is the corpus.
        quick: 20 payloads instead of all.

    Raises:
        PathNotFoundError: The folder lacks the corpus.
    """
    payloads = list(_corpus(dataset / "pii"))
    chosen = list(first_of_each_layout(payloads, 20 if quick else len(payloads)))
    return _judged("corpus", chosen) + pii_peers(chosen)


def _corpus(folder: Path) -> Iterator[LabelledPayload]:
    path = folder / "payloads.jsonl.gz"
    if not path.is_file():
        raise PathNotFoundError(path)
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            yield LabelledPayload(
                _STYLES[row["style"]],
                row["doc"],
                tuple((label["kind"], label["value"]) for label in row["labels"]),
                tuple((_path(each["path"]), each["value"]) for each in row["safe"]),
            )


def _path(text: str) -> tuple[str | int, ...]:
    found = re.finditer(r"\.(\w+)|\[(\d+)\]", text)
    return tuple(match[1] if match[1] is not None else int(match[2]) for match in found)


def _judged(name: str, payloads: Sequence[LabelledPayload]) -> BenchReport:
    stored, kept = _stored(payloads)
    typed: Counter[tuple[str, str]] = Counter()
    totals: Counter[tuple[str, str]] = Counter()
    for number, payload in enumerate(payloads):
        text = kept.get(number)
        for kind, value in payload.personal:
            totals[payload.layout, kind] += 1
            if text is not None and _remains(kind, value, text):
                typed[payload.layout, kind] += 1
    everywhere = _in_bytes(payloads[:300], stored[:300])
    safe, changed = _over_redacted(payloads, kept)
    pairs, broken = _relations(payloads)
    refused = len(payloads) - len(kept)
    named = {"name", "address"}
    rows = [
        (
            "typed-leaks",
            sum(n for (_, kind), n in typed.items() if kind in TYPED) + everywhere,
            sum(n for (_, kind), n in totals.items() if kind in TYPED),
            0.0,
            "share of typed values that remain, in all layouts; those of the first 300 also in Parquet bytes and suites",
        ),
        (
            "clear-names",
            sum(n for (at, kind), n in typed.items() if at == "clear" and kind in named),
            sum(n for (at, kind), n in totals.items() if at == "clear" and kind in named),
            0.01,
            "share of names and addresses under telling names that remain",
        ),
        (
            "free-text",
            sum(n for (at, _), n in typed.items() if at == "free text"),
            sum(n for (at, _), n in totals.items() if at == "free text"),
            0.0,
            "share of personal values in free text that remain",
        ),
        ("over-redaction", changed, safe, 0.01, "share of safe values that were changed"),
        ("relations", broken, pairs, 0.0, "share of pairs of equal or different values that broke"),
        ("refused", refused, len(payloads), 0.01, "share of payloads that were dropped"),
    ]
    targets = tuple(
        Target(
            id=f"G5-{name}-{row}",
            value=count / n if n else 0.0,
            interval=share_interval(count, n) if n else None,
            target=limit,
            bound="at most",
            what=f"{what} ({count} of {n:,}, {name} payloads)",
        )
        for row, count, n, limit, what in rows
    )
    table = tuple(
        {
            "layout": layout,
            "kind": kind,
            "values": totals[layout, kind],
            "remain": typed[layout, kind],
        }
        for layout, kind in sorted(totals)
    )
    return BenchReport(targets=targets, tables={f"What remains, {name} payloads": table})


def _snapshots(payloads: Sequence[LabelledPayload]) -> list[TrafficSnapshot]:
    return [
        TrafficSnapshot(
            id=f"p{number}",
            operation=OperationRef("payload.store"),
            input={"path": "/payloads", "body": payload.payload},
            output={"status": 201, "body": {"stored": payload.payload}},
            success=True,
            timestamp=_START + timedelta(seconds=number),
        )
        for number, payload in enumerate(payloads)
    ]


def _stored(payloads: Sequence[LabelledPayload]) -> tuple[list[TrafficSnapshot], dict[int, str]]:
    """Return the snapshots as they may be stored, and the text of each by number."""
    settler = SnapshotSettler(InMemoryTrafficStore(), SnapshotSanitiser(_KEY))
    stored = settler.cleaned(_snapshots(payloads))
    texts = {
        int(each.id[1:]): json.dumps([each.input, each.output], ensure_ascii=False)
        for each in stored
    }
    return stored, texts


def _forms(kind: str, value: str) -> Iterator[str]:
    """Yield the forms in which a value may remain, in lower case."""
    yield value.lower()
    yield quote(value, safe="").lower()
    yield json.dumps(value)[1:-1].lower()
    if len(value) >= 8:
        yield base64.b64encode(value.encode()).decode().lower()
    digits = re.sub(r"\D", "", value)
    if kind in {"card", "phone", "ssn", "iban"} and len(digits) >= 8:
        yield digits


def _remains(kind: str, value: str, text: str) -> bool:
    folded = text.lower()
    return any(form in folded for form in _forms(kind, value))


def _in_bytes(payloads: Sequence[LabelledPayload], stored: list[TrafficSnapshot]) -> int:
    """Count typed values found in the bytes of the Parquet files and of suites in two languages."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        LakeTrafficStore(root).add(stored)
        # what Parquet packs is looked at unpacked: the bytes of its columns, and the file's own
        found = [
            pl.read_parquet(path).write_ndjson() for path in sorted(root.rglob("*.parquet"))
        ] + [path.read_bytes().decode("latin-1") for path in sorted(root.rglob("*.parquet"))]
        suite = GoldenTestGenerator().generate(stored[:400])
        for name, framework in (("t_test.py", "pytest"), ("t.golden.test.ts", "vitest")):
            settings = EmitSettings(framework=framework, runner_import="runner")  # type: ignore[arg-type]
            emitted = emit(suite, root / name, settings)
            found += [emitted.code, emitted.data or ""]
    texts = [text.lower() for text in found]
    values = {
        (kind, value)
        for payload in payloads
        for kind, value in payload.personal
        if kind in TYPED and len(value) >= 7
    }
    return sum(
        any(form in text for form in _forms(kind, value) for text in texts)
        for kind, value in sorted(values)
    )


def _over_redacted(payloads: Sequence[LabelledPayload], kept: Mapping[int, str]) -> tuple[int, int]:
    safe = changed = 0
    for number, payload in enumerate(payloads):
        if number not in kept:
            continue
        body = json.loads(kept[number])[0]["body"]
        for path, value in payload.safe:
            here: Any = body
            for key in path:
                here = here[key]
            safe += 1
            changed += here != value
    return safe, changed


def _relations(payloads: Sequence[LabelledPayload]) -> tuple[int, int]:
    """Count values of each kind and those whose equality to others changed."""
    sanitiser = PayloadSanitiser(_KEY)
    before: dict[tuple[str, str], str] = {}
    after: dict[tuple[str, str], str] = {}
    broken = 0
    for payload in payloads:
        for kind, value in payload.personal:
            if kind not in {*TYPED, "name", "address"}:
                continue
            cleaned = sanitiser.stand_ins.of(kind, value)
            broken += before.setdefault((kind, value), cleaned) != cleaned
            broken += after.setdefault((kind, cleaned), value) != value
    return len(before) + len(after), broken


def _speed(payloads: Sequence[LabelledPayload]) -> BenchReport:
    """Measure payloads a second on one core, each seen for the first time."""
    sanitiser = PayloadSanitiser(_KEY)
    for payload in labelled_payloads(100, seed=7):
        sanitiser.sanitised({"body": payload.payload})
    rates = []
    step = max(len(payloads) // 4, 1)
    for start in range(0, 4 * step, step):
        piece = payloads[start : start + step]
        began = time.process_time()
        for payload in piece:
            sanitiser.sanitised({"body": payload.payload})
        rates.append(len(piece) / (time.process_time() - began))
    size = sum(len(json.dumps(payload.payload)) for payload in payloads) / len(payloads)
    value = sorted(rates)[len(rates) // 2]
    return BenchReport(
        targets=(
            Target(
                id="G5-speed",
                value=value,
                interval=(min(rates), max(rates)),
                target=2000,
                bound="at least",
                what=f"payloads of {size:.0f} bytes a CPU second, none seen before (range of 4 parts)",
            ),
        )
    )
