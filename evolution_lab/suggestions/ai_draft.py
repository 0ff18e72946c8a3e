"""What a language model may propose: actions on the team's document, checked like every overlay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from evolution_lab.contracts import OpenApiDocument
from evolution_lab.contracts.breaking import SpecDifference, spec_differences
from evolution_lab.contracts.references import at_pointer
from evolution_lab.display import strip_controls
from evolution_lab.errors import InputError, InvalidOverlayError
from evolution_lab.records import SpecSuggestion, Target, to_python
from evolution_lab.suggestions.component_users import operations_using
from evolution_lab.suggestions.differences import unified_diff
from evolution_lab.suggestions.editable import references
from evolution_lab.suggestions.identity import json_ready, pointer, suggestion_id
from evolution_lab.suggestions.json_patch import json_patch
from evolution_lab.suggestions.overlays import EXTENSION, OVERLAY_VERSION, apply_overlay
from evolution_lab.suggestions.risk import BreakingClass, Risk, assess_risk
from evolution_lab.suggestions.validity import new_faults

AI_CREATOR: Final = "ai:"
"""How ``created_by`` of every suggestion begins that a model wrote; its model's name follows."""
AI_TAG: Final = "ai-made"
_MOST_ACTIONS: Final = 50


@dataclass(frozen=True, kw_only=True)
class DraftedAction:
    """One action of an OpenAPI Overlay 1.0.

    Attributes:
        target: JSONPath (RFC 9535) that selects objects or lists of the document as it is.
        update: Merged into each object selected, appended to each list; None where it is removed.
        remove: Whether what is selected goes away.
    """

    target: str
    update: dict[str, Any] | None = None
    remove: bool = False


@dataclass(frozen=True, kw_only=True)
class DraftedChange:
    """A change of a document that was applied, is valid, and concerns one operation alone.

    Attributes:
        overlay: OpenAPI Overlay 1.0.
        diff: Unified diff of both documents.
        json_patch: RFC 6902, from the source to the changed document.
        differences: What the change means for callers.
        lasting: Whether taking it back would break callers.
    """

    overlay: Mapping[str, Any]
    diff: str = field(repr=False)
    json_patch: tuple[Mapping[str, Any], ...]
    differences: tuple[SpecDifference, ...]
    lasting: bool


def is_ai_made(suggestion: SpecSuggestion) -> bool:
    """Say whether a model wrote a suggestion: no rule may approve it without a person."""
    return suggestion.created_by.startswith(AI_CREATOR) or AI_TAG in suggestion.tags


def check_draft(
    actions: Sequence[DraftedAction],
    document: OpenApiDocument,
    *,
    route: str | None,
    title: str,
) -> DraftedChange:
    """Return what drafted actions do to a document, or refuse them.

    Args:
        actions: What the model proposes.
        document: The team's own document; it stays as it is.
        route: The operation, as ``operationId`` or method and template; None for a new one.
        title: What the overlay does, one sentence.

    Raises:
        InvalidOverlayError: An action does not apply, the changed document has a new fault, or
            something other than the operation would change; the message says which.

    Examples:
        >>> document = OpenApiDocument.load({"openapi": "3.1.0", "info": {"title": "A",
        ...     "version": "1"}, "paths": {"/a": {"get": {"responses": {}}}}})
        >>> action = DraftedAction(target="$.info", update={"title": "B"})
        >>> check_draft([action], document, route="GET /a", title="Rename.")
        Traceback (most recent call last):
        ...
        evolution_lab.errors.InvalidOverlayError: it changes /info/title, must change GET /a alone.
    """
    if len(actions) > _MOST_ACTIONS:
        raise InvalidOverlayError(f"{len(actions)} actions, must be at most {_MOST_ACTIONS}.")
    for name in _foreign_references([action.update for action in actions]):
        # Checked first: a validator would fetch it.
        raise InvalidOverlayError(f"$ref == {name!r}, must stay within the document: '#/…'.")
    overlay = {
        "overlay": OVERLAY_VERSION,
        "info": {"title": title, "version": "1"},
        "actions": [_action(action) for action in actions],
    }
    changed = apply_overlay(document.content, overlay)
    patch = json_patch(document.content, changed)
    if not patch:
        raise InvalidOverlayError("nothing changes, an overlay must change something.")
    faults = new_faults(document.content, changed)
    if faults:
        raise InvalidOverlayError(f"the changed document is not valid: {faults[0]}")
    for operation in patch:
        _check_reach(operation, document, route)
    try:
        after = OpenApiDocument.load(changed)
        differences, lasting = _meaning(document, after, route)
    except (InputError, KeyError) as error:
        raise InvalidOverlayError(f"the changed document cannot be read: {error}") from None
    return DraftedChange(
        overlay=overlay,
        diff=unified_diff(document.content, changed, name="openapi.json", in_order=True),
        json_patch=tuple(patch),
        differences=differences,
        lasting=lasting,
    )


def excerpt(document: OpenApiDocument, route: str | None) -> dict[str, Any]:
    """Return the part of a document that an operation stands in, with the components it refers to.

    Args:
        document: The team's own document.
        route: The operation; None for a new one, which gets the names of paths alone.
    """
    head = {
        name: document.content[name] for name in ("openapi", "info") if name in document.content
    }
    if route is None:
        return {**head, "paths": {path: {} for path in document.content.get("paths", {})}}
    operation = document.operation(route)
    item = document.content["paths"][operation.path]
    kept = {name: item[name] for name in ("parameters", operation.method.lower()) if name in item}
    found: dict[str, Any] = {**head, "paths": {operation.path: kept}}
    waiting, reached = list(references(kept)), set[str]()
    while waiting:
        place = waiting.pop()
        parts = place.split("/")
        if place in reached or len(parts) != 4 or parts[1] != "components":
            continue
        reached.add(place)
        try:
            value = at_pointer(document.content, place)
        except InputError:
            continue
        section = found.setdefault("components", {}).setdefault(parts[2], {})
        section[parts[3].replace("~1", "/").replace("~0", "~")] = value
        waiting += references(value)
    return found


def drafted_suggestion(
    source: SpecSuggestion,
    *,
    model: str,
    summary: str,
    rationale: str,
    change: DraftedChange | None,
) -> SpecSuggestion:
    """Return a suggestion of what a model drafted from another one, marked as made by a model.

    It has an id of its own, so that it never takes the place of what was computed, and the
    evidence, confidence and priority of its source.

    Args:
        source: The suggestion it was drafted from.
        model: The model's name.
        summary: One sentence: what to change.
        rationale: Why.
        change: The change of the document; None where only words were drafted.
    """
    proposal, target = source.proposal, source.target
    actions = [] if change is None else list(change.overlay["actions"])
    spec = dict(proposal.spec or {})
    if change is not None:
        drafted = proposal.change_type == "new-spec"
        target = target if drafted else Target(operation=target.operation, path="/overlay")
        spec = {**(spec if drafted else {}), "overlay": {"actions": actions}}
    ask = {"draftOf": source.id, "actions": actions, **({} if actions else {"words": summary})}
    identity = suggestion_id(target, proposal.change_type, ask)
    metadata = {**proposal.metadata, "ask": ask, "draftOf": source.id, "draftedBy": model}
    overlay, diff, risk = source.overlay, proposal.diff, source.risk
    if change is not None:
        about = {"suggestionId": identity}
        if target.operation is not None and target.operation.tenant_id is not None:
            about["tenantId"] = target.operation.tenant_id
        overlay, diff = {**change.overlay, EXTENSION: about}, change.diff
        assessed = _risk(source, change)
        risk = assessed.score
        breaking = any(difference.breaking for difference in change.differences)
        metadata |= {
            "risk": assessed.to_dict(),
            "specEffect": {
                "jsonPatch": json_ready(list(change.json_patch)),
                "differences": [to_python(difference) for difference in change.differences],
                "breaking": breaking,
            },
        }
    return replace(
        source,
        id=identity,
        target=target,
        proposal=replace(
            proposal,
            summary=summary,
            rationale=rationale,
            spec=spec,
            diff=diff,
            metadata=metadata,
        ),
        risk=risk,
        created_by=AI_CREATOR + " ".join(strip_controls(model).split()),
        status="pending",
        tags=tuple(sorted({*source.tags, AI_TAG})),
        revision=1,
        overlay=overlay,
        approvals=(),
    )


def _action(action: DraftedAction) -> dict[str, Any]:
    if action.remove == (action.update is not None):
        raise InvalidOverlayError(
            f"action on {action.target!r}: must either update or remove, and not both."
        )
    if action.remove:
        return {"target": action.target, "remove": True}
    return {"target": action.target, "update": action.update}


def _check_reach(change: Mapping[str, Any], document: OpenApiDocument, route: str | None) -> None:
    """Refuse what lies outside the operation: additions apart, everybody else keeps their spec."""
    path = str(change["path"])
    if route is None:
        allowed = change["op"] == "add" and _is_new(path, ("paths", "components"))
    else:
        operation = document.operation(route)
        own = pointer("paths", operation.path, operation.method.lower())
        component = "/".join(path.split("/")[:4])
        allowed = (
            (
                path.startswith(own + "/")
                and path[len(own) + 1 :].split("/", maxsplit=1)[0] not in _NOT_ASKED
            )
            or (change["op"] == "add" and _is_new(path, ("components",)))
            or (
                path.startswith("/components/")
                and operations_using(document, component) == (operation.route,)
            )
        )
    if not allowed:
        what = f"{route} alone" if route is not None else "nothing that is there already"
        raise InvalidOverlayError(f"it changes {path}, must change {what}.")


def _is_new(path: str, sections: Sequence[str]) -> bool:
    """Say whether an addition is a whole component, path or operation that was not there."""
    parts = path.split("/")[1:]
    if parts[0] not in sections or len(parts) > 3:
        return False
    if parts[0] == "paths":
        return len(parts) == 2 or (len(parts) == 3 and parts[2] in _METHODS)
    return len(parts) <= 3


_NOT_ASKED: Final = frozenset({"servers", "security", "callbacks"})
"""Members of an operation that traffic says nothing about, and that say where data goes."""
_METHODS: Final = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace"})


def _meaning(
    before: OpenApiDocument, after: OpenApiDocument, route: str | None
) -> tuple[tuple[SpecDifference, ...], bool]:
    if route is not None:
        known = before.operation(route)
        old, new = before.spec(known.route), after.spec(known.route)
        back = spec_differences(new, old)
        return spec_differences(old, new), any(difference.breaking for difference in back)
    there = {operation.route for operation in before.operations}
    added = [operation.route for operation in after.operations if operation.route not in there]
    found = [each for name in added for each in spec_differences(None, after.spec(name))]
    return tuple(found), bool(added)


def _risk(source: SpecSuggestion, change: DraftedChange) -> Risk:
    told = source.proposal.metadata.get("risk")
    told = told if isinstance(told, Mapping) else {}
    reach = told.get("blastRadius")
    breaking: BreakingClass = (
        "breaking" if any(each.breaking for each in change.differences) else "compatible"
    )
    return assess_risk(
        source.proposal.change_type,
        blast_radius=reach if isinstance(reach, int | float) else None,
        command=told.get("command") != 0,
        breaking=breaking,
        lasting=change.lasting,
        confidence=source.confidence,
    )


def _foreign_references(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            if name == "$ref" and not (isinstance(item, str) and item.startswith("#/")):
                yield str(item)
            yield from _foreign_references(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _foreign_references(item)


def texts_of(value: object) -> Iterator[str]:
    """Yield every text in a JSON value, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield str(name)
            yield from texts_of(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts_of(item)
