"""The runtime: validation, variants first, fallback only before a handler has started."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolution_lab.contracts import HandlerContext, OperationRegistry, OperationSpec, SpecVariant
from evolution_lab.errors import EvolutionLabError, InvalidPayloadError, UnknownNameError

SPEC = OperationSpec(
    key="billing.createInvoice",
    version="1.0.0",
    kind="command",
    goal="Write an invoice.",
    input_schema={
        "type": "object",
        "properties": {"amount": {"type": "integer", "minimum": 1}},
        "required": ["amount"],
    },
)
STRICTER = replace(
    SPEC,
    version="2.0.0",
    input_schema={**SPEC.input_schema, "required": ["amount", "po_number"]},
)
BROKEN_SCHEMA = replace(SPEC, version="2.0.0", input_schema={"type": "no such type"})
OTHER = replace(SPEC, key="billing.other", version="2.0.0")


class BoomError(Exception):
    """What a handler raises."""


def run(registry: OperationRegistry, variant: object, **context: object) -> object:
    def resolver(spec: OperationSpec, context: HandlerContext) -> object:
        if isinstance(variant, Exception):
            raise variant
        return variant

    return registry.execute(
        SPEC.key,
        SPEC.version,
        {"amount": 3},
        HandlerContext(spec_variant_resolver=resolver, **context),
    )


def registered(calls: list[str], *, fails: bool = False) -> OperationRegistry:
    registry = OperationRegistry()

    def handler(payload: object, context: HandlerContext) -> str:
        calls.append("registered")
        if fails:
            raise BoomError
        return "registered"

    registry.register(SPEC, handler)
    return registry


def test_a_variant_runs_instead_of_the_registered_handler():
    calls: list[str] = []
    registry = registered(calls)
    variant = SpecVariant(
        spec=replace(SPEC, version="2.0.0"), handler=lambda *_: calls.append("variant") or "new"
    )
    assert run(registry, variant) == "new"
    assert calls == ["variant"]


def test_input_that_breaks_the_schema_reaches_no_handler():
    calls: list[str] = []
    with pytest.raises(EvolutionLabError, match="amount"):
        registered(calls).execute(SPEC.key, SPEC.version, {"amount": 0}, HandlerContext())
    assert calls == []


def test_unknown_operations_name_the_nearest():
    with pytest.raises(UnknownNameError, match=r"Did you mean 'billing\.createInvoice'"):
        registered([]).execute("billing.creatInvoice", None, {}, HandlerContext())


def test_async_handlers_are_awaited_both_ways():
    registry = OperationRegistry()

    async def handler(payload: dict[str, int], context: HandlerContext) -> int:
        await asyncio.sleep(0)
        return payload["amount"]

    registry.register(SPEC, handler)
    assert registry.execute(SPEC.key, None, {"amount": 7}, HandlerContext()) == 7
    waiting = registry.aexecute(SPEC.key, None, {"amount": 8}, HandlerContext())
    assert asyncio.run(waiting) == 8


def test_each_execution_is_one_sample_and_a_failing_listener_is_counted():
    samples = []
    registry = registered([])
    registry.on_sample(samples.append)

    def broken(sample: object) -> None:
        raise BoomError

    registry.on_sample(broken)
    run(registry, None, tenant_id="acme")
    assert [(s.operation.key, s.success, s.tenant_id) for s in samples] == [
        (SPEC.key, True, "acme")
    ]
    assert sum(registry.hook_errors.values()) == 1


@given(
    variant=st.sampled_from(
        ["none", "resolver raises", "nonsense", "other key", "broken schema", "stricter schema",
         "no handler", "variant works", "variant raises"]
    ),
    registered_fails=st.booleans(),
)  # fmt: skip
def test_no_command_runs_twice(variant: str, *, registered_fails: bool):
    calls: list[str] = []
    samples: list[object] = []
    registry = registered(calls, fails=registered_fails)
    registry.on_sample(samples.append)

    def works(payload: object, context: HandlerContext) -> str:
        calls.append("variant")
        return "variant"

    def raises(payload: object, context: HandlerContext) -> str:
        calls.append("variant")
        raise BoomError

    new = replace(SPEC, version="2.0.0")
    answers = {
        "none": None,
        "resolver raises": ValueError("no"),
        "nonsense": "not a variant",
        "other key": SpecVariant(spec=OTHER, handler=works),
        "broken schema": SpecVariant(spec=BROKEN_SCHEMA, handler=works),
        "stricter schema": SpecVariant(spec=STRICTER, handler=works),
        "no handler": new,
        "variant works": SpecVariant(spec=new, handler=works),
        "variant raises": SpecVariant(spec=new, handler=raises),
    }
    outcome: object
    try:
        outcome = run(registry, answers[variant])
    except BoomError:
        outcome = BoomError
    started = variant in {"variant works", "variant raises"}
    assert calls == (["variant"] if started else ["registered"])
    fails = variant == "variant raises" if started else registered_fails
    assert outcome == (BoomError if fails else calls[0])
    assert len(samples) == 1


@pytest.mark.parametrize("is_async", [False, True])
def test_an_output_that_breaks_the_schema_is_the_callers_error_and_runs_nothing_again(is_async):
    calls, samples, told = [], [], []
    registry = OperationRegistry()
    promised = replace(SPEC, output_schema={"type": "object", "required": ["id"]})

    def handler(value, context):
        calls.append(value)
        return {"secret": "value"}

    registry.register(promised, handler)
    registry.on_sample(samples.append)
    registry.on_call(told.append)
    call = partial(registry.execute, SPEC.key, None, {"amount": 3})
    if is_async:
        call = partial(asyncio.run, registry.aexecute(SPEC.key, None, {"amount": 3}))
    with pytest.raises(InvalidPayloadError, match=r'the output of .*"id" is a required') as caught:
        call()
    assert "secret" not in str(caught.value)
    assert caught.value.side == "output"
    assert len(calls) == 1
    assert [(s.success, s.error_code) for s in samples] == [(False, "invalid-output")]
    assert told[0].error is caught.value


def test_a_variant_is_held_to_its_own_output_schema_and_a_broken_one_falls_back():
    def answer(value, context):
        return {"new": True}

    def old(value, context):
        return {"old": 1}

    registry = OperationRegistry()
    registry.register(replace(SPEC, output_schema={"required": ["old"]}), old)
    wide = SpecVariant(spec=replace(SPEC, version="2", output_schema={}), handler=answer)
    bad = SpecVariant(spec=replace(SPEC, version="3", output_schema={"type": 7}), handler=answer)
    assert run(registry, wide) == {"new": True}
    assert run(registry, bad) == {"old": 1}


def test_without_an_output_schema_an_output_need_not_be_json():
    registry = OperationRegistry()
    registry.register(SPEC, lambda value, context: {1, 2})  # noqa: ARG005
    assert registry.execute(SPEC.key, None, {"amount": 3}) == {1, 2}
