"""What one OpenAPI operation says, part by part: input, output, errors, policy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from evolution_lab.contracts.operation_spec import DeclaredError, OperationKind
from evolution_lab.contracts.references import resolved
from evolution_lab.contracts.schema_bundle import SchemaBundle
from evolution_lab.errors import InvalidDocumentError

PLACES: Final = ("path", "query", "header", "cookie")
READING_METHODS: Final = frozenset({"get", "head", "options", "trace", "query"})
REPEATABLE_METHODS: Final = frozenset({"put", "delete"})
"""Changing methods that may be repeated (RFC 9110, section 9.2.2)."""

_NOT_PARAMETERS: Final = frozenset({"accept", "content-type", "authorization"})
"""Headers that OpenAPI describes elsewhere and tells readers to ignore as parameters."""
_WITHOUT_BODY: Final = frozenset({"204", "205"})
_FORMS: Final = ("application/x-www-form-urlencoded", "multipart/form-data")
_MOST_CODES: Final = 50


@dataclass(frozen=True, eq=False)
class OperationParts:
    """One operation object of a document, read part by part.

    Attributes:
        document: The whole document.
        path_item: The path's object: its parameters hold for all its operations.
        operation: The operation's object.
        method: Its HTTP method, small letters.
        legacy: Whether the document is OpenAPI 3.0.
    """

    document: Mapping[str, Any]
    path_item: Mapping[str, Any]
    operation: Mapping[str, Any]
    method: str
    legacy: bool

    def kind(self) -> OperationKind:
        """Return ``query`` for methods that only read, else ``command``; ``x-kind`` wins."""
        stated = self.operation.get("x-kind")
        if stated == "query":
            return "query"
        if stated == "command":
            return "command"
        return "query" if self.method in READING_METHODS else "command"

    def input_schema(self) -> dict[str, Any]:
        """Return the schema of ``{"path": …, "query": …, "header": …, "cookie": …, "body": …}``.

        Only places that the operation declares something for are there. Names of headers are in
        small letters.

        Raises:
            InvalidDocumentError: A part is no schema or a reference cannot be followed.
        """
        bundle = SchemaBundle(self.document, legacy=self.legacy, direction="request")
        places: dict[str, Any] = {}
        required: list[str] = []
        for place in PLACES:
            properties, needed = self._parameters(place, bundle)
            if properties:
                places[place] = {"type": "object", "properties": properties}
                if needed:
                    places[place]["required"] = needed
                    required.append(place)
        body = resolved(self.document, self.operation.get("requestBody"))
        if isinstance(body, Mapping):
            places["body"] = _content_schema(body, bundle)
            if body.get("required") is True:
                required.append("body")
        if not places:
            return {}
        schema: dict[str, Any] = {"type": "object", "properties": places}
        return _closed(schema | ({"required": required} if required else {}), bundle)

    def output_schema(self) -> dict[str, Any]:
        """Return the schema of what a successful call answers; empty where nothing is said.

        Raises:
            InvalidDocumentError: A part is no schema or a reference cannot be followed.
        """
        bundle = SchemaBundle(self.document, legacy=self.legacy, direction="response")
        answers: list[Any] = []
        for status, response in self._responses():
            if not status.startswith("2"):
                continue
            answer = (
                {"type": "null"} if status in _WITHOUT_BODY else _content_schema(response, bundle)
            )
            if answer not in answers:
                answers.append(answer)
        if not answers or {} in answers:  # One answer may be anything: so may the output.
            return {}
        schema = answers[0] if len(answers) == 1 else {"anyOf": answers}
        if isinstance(schema, bool):
            return {} if schema else {"not": {}}
        return _closed(schema, bundle)

    def errors(self) -> dict[str, DeclaredError]:
        """Return declared errors by code, as telemetry names them.

        A code is what the response's schema or examples enumerate as ``code`` (at the top or inside
        ``error``); where they enumerate none, it is the status (``404``, ``4XX``, ``default``).

        Raises:
            InvalidDocumentError: A reference cannot be followed.
        """
        errors: dict[str, DeclaredError] = {}
        for status, response in self._responses():
            if status[0] in "123":
                continue
            http = int(status) if status.isdecimal() else None
            when = _text(response.get("description"))
            for code in self._codes(response) or [status]:
                errors.setdefault(code, DeclaredError(http=http, when=when))
        return errors

    def status_of(self, status: int) -> str | None:
        """Return under which key a status is declared: itself, its class, or ``default``."""
        declared = {name.upper(): name for name, _ in self._responses()}
        for name in (str(status), f"{status // 100}XX", "DEFAULT"):
            if name in declared:
                return declared[name]
        return None

    def body_schema(self, declared: str) -> Any:
        """Return the schema of the body under one key of the responses; empty where none is said.

        Raises:
            InvalidDocumentError: A part is no schema or a reference cannot be followed.
        """
        bundle = SchemaBundle(self.document, legacy=self.legacy, direction="response")
        schema = _content_schema(dict(self._responses())[declared], bundle)
        return _closed(schema, bundle) if isinstance(schema, Mapping) else schema

    def codes_of(self, declared: str) -> tuple[str, ...]:
        """Return the error codes that one key of the responses declares; empty where it names none."""
        return tuple(self._codes(dict(self._responses())[declared]))

    def policy(self) -> dict[str, Any]:
        """Return how the operation is operated: auth, idempotence, owner, tags, deprecation."""
        policy: dict[str, Any] = {}
        security = self.operation.get("security", self.document.get("security"))
        if isinstance(security, list):
            policy["auth"] = [sorted(way) for way in security if isinstance(way, Mapping)]
        if self.method in REPEATABLE_METHODS:
            policy["idempotent"] = True
        if self.operation.get("deprecated") is True:
            policy["deprecated"] = True
        if isinstance(tags := self.operation.get("tags"), list):
            policy["tags"] = [tag for tag in tags if isinstance(tag, str)]
        if owner := _text(self.operation.get("x-owner", self.path_item.get("x-owner"))):
            policy["owner"] = owner
        stated = self.operation.get("x-policy")
        return policy | dict(stated) if isinstance(stated, Mapping) else policy

    def _parameters(self, place: str, bundle: SchemaBundle) -> tuple[dict[str, Any], list[str]]:
        schemas: dict[str, Any] = {}
        needed: dict[str, bool] = {}
        for holder in (self.path_item, self.operation):  # The operation's own win.
            parameters = holder.get("parameters", [])
            for value in parameters if isinstance(parameters, list) else []:
                parameter = resolved(self.document, value)
                name = parameter.get("name") if isinstance(parameter, Mapping) else None
                if not isinstance(name, str) or parameter.get("in") != place:
                    continue
                if place == "header":
                    name = name.lower()
                    if name in _NOT_PARAMETERS:
                        continue
                schemas[name] = (
                    bundle.schema(parameter["schema"])
                    if "schema" in parameter
                    else _content_schema(parameter, bundle)
                )
                needed[name] = place == "path" or parameter.get("required") is True
        return schemas, [name for name, is_needed in needed.items() if is_needed]

    def _responses(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        responses = self.operation.get("responses", {})
        if not isinstance(responses, Mapping):
            raise InvalidDocumentError(f"responses == {responses!r}, must be an object.")
        for status, value in sorted(responses.items()):
            response = resolved(self.document, value)
            if status and not status.startswith("x-") and isinstance(response, Mapping):
                yield status, response

    def _codes(self, response: Mapping[str, Any]) -> list[str]:
        media = _json_media(response)
        if media is None:
            return []
        codes = list(self._codes_of_schema(media.get("schema")))
        named = media.get("examples")
        examples = [
            resolved(self.document, example)
            for example in (named.values() if isinstance(named, Mapping) else ())
        ]
        values = [
            media.get("example"),
            *(e.get("value") for e in examples if isinstance(e, Mapping)),
        ]
        codes += [code for value in values for code in _codes_of_value(value)]
        return list(dict.fromkeys(codes))[:_MOST_CODES]

    def _codes_of_schema(self, value: object, *, inside: bool = False) -> Iterator[str]:
        schema = resolved(self.document, value)
        properties = schema.get("properties") if isinstance(schema, Mapping) else None
        if not isinstance(properties, Mapping):
            return
        code = resolved(self.document, properties.get("code"))
        if isinstance(code, Mapping):
            stated = code.get("enum")
            for name in stated if isinstance(stated, list) else [code.get("const")]:
                if isinstance(name, str) and name:
                    yield name
        if not inside:
            yield from self._codes_of_schema(properties.get("error"), inside=True)


def _codes_of_value(value: object) -> Iterator[str]:
    for holder in (value, value.get("error") if isinstance(value, Mapping) else None):
        code = holder.get("code") if isinstance(holder, Mapping) else None
        if isinstance(code, str) and code:
            yield code


def _closed(schema: Mapping[str, Any], bundle: SchemaBundle) -> dict[str, Any]:
    definitions = bundle.definitions()
    return {**schema, **({"$defs": definitions} if definitions else {})}


def _content_schema(holder: Mapping[str, Any], bundle: SchemaBundle) -> Any:
    media = _json_media(holder)
    return bundle.schema(media["schema"]) if media is not None and "schema" in media else {}


def json_media_name(holder: Mapping[str, Any]) -> str | None:
    """Return the name of the media type that is read: JSON, else a form; None for all others."""
    content = holder.get("content")
    if not isinstance(content, Mapping):
        return None
    for is_it in (_is_json, _FORMS.__contains__):
        for name in sorted(content):
            if is_it(name.partition(";")[0].strip().lower()):
                return str(name)
    return None


def _json_media(holder: Mapping[str, Any]) -> Mapping[str, Any] | None:
    name = json_media_name(holder)
    media = None if name is None else holder["content"][name]
    return media if isinstance(media, Mapping) else None


def _is_json(media_type: str) -> bool:
    return media_type in {"application/json", "*/*"} or media_type.endswith("+json")


def _text(value: object) -> str | None:
    return value.strip() or None if isinstance(value, str) else None
