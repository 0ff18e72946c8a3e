"""Counts GraphQL operations: their errors arrive under status 200, where HTTP sees none.

Needs the extra ``graphql``. For strawberry, ``create_graphql_extension``; for graphql-core itself,
``graphql_execution`` around the call.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from evolution_lab.contracts import HandlerContext
from evolution_lab.experiments.adapter import SpecExperimentAdapter
from evolution_lab.experiments.resolver import Serving, current_serving, serve

if TYPE_CHECKING:
    from graphql import ExecutionResult, GraphQLError
    from strawberry.extensions import SchemaExtension
    from strawberry.types import ExecutionContext

GraphQLContextOf = Callable[[Any], HandlerContext]
"""Says who asks, of what resolvers see as ``info.context``."""
IsClientError = Callable[["GraphQLError"], bool]

CLIENT_ERRORS: Final = frozenset(
    {
        *("BAD_USER_INPUT", "BAD_REQUEST", "UNAUTHENTICATED", "FORBIDDEN", "NOT_FOUND"),
        *("GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED"),
    }
)
"""Values of ``extensions.code`` that say the caller was wrong; Apollo's names."""


def is_client_error(error: GraphQLError) -> bool:
    """Say whether an error is the caller's, by ``extensions.code``: it is no failure then."""
    return (error.extensions or {}).get("code") in CLIENT_ERRORS


Result = TypeVar("Result")


@dataclass(eq=False)
class GraphQLExecution(Generic[Result]):
    """One execution of a document while it runs.

    Attributes:
        serving: Who asks, and what was given.
        client_error: Says which errors are no failures.
    """

    serving: Serving
    client_error: IsClientError
    success: bool | None = field(default=None, init=False)
    counted: bool = field(default=True, init=False)

    def ended(self, result: Result) -> Result:
        """Take note of the result, and return it.

        Partial data with an error is a failure: somebody did not get what was asked for.
        """
        errors = getattr(result, "errors", None) or ()
        self.success = all(self.client_error(error) for error in errors)
        return result


@contextmanager
def graphql_execution(
    adapter: SpecExperimentAdapter,
    context: HandlerContext | None = None,
    *,
    client_error: IsClientError = is_client_error,
) -> Iterator[GraphQLExecution[ExecutionResult]]:
    """Serve one execution: ``current_variant`` answers in resolvers, and the outcome is counted.

    Args:
        adapter: Counts it.
        context: Who asks; within a watched request, who that is of, unless given.
        client_error: Says which errors are no failures.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from graphql import build_schema, graphql_sync
        >>> from evolution_lab.experiments import InForce
        >>> adapter = SpecExperimentAdapter(
        ...     InForce(lambda: None, background=False), Path(tempfile.mkdtemp()))
        >>> with graphql_execution(adapter, HandlerContext(user_id="u-7")) as execution:
        ...     result = execution.ended(
        ...         graphql_sync(build_schema("type Query { n: Int }"), "{ n }"))
        >>> execution.success
        True
    """
    around = current_serving()
    if context is None:
        context = HandlerContext() if around is None else around.context
    serving = adapter.begin(replace(context, channel="graphql"))
    serving.on_assigned = None if around is None else around.on_assigned
    execution: GraphQLExecution[ExecutionResult] = GraphQLExecution(serving, client_error)
    begun = time.perf_counter_ns()
    try:
        with serve(serving):
            yield execution
    except Exception:
        execution.success = False
        raise
    finally:
        if execution.counted:
            adapter.end(
                serving,
                execution_id=secrets.token_hex(16),
                duration_ns=time.perf_counter_ns() - begun,
                success=execution.success,
            )


def _kind(running: ExecutionContext) -> str:
    try:
        return running.operation_type.value
    except RuntimeError:  # It could not be parsed.
        return ""


def create_graphql_extension(
    adapter: SpecExperimentAdapter,
    context_of: GraphQLContextOf | None = None,
    *,
    client_error: IsClientError = is_client_error,
) -> type[SchemaExtension]:
    """Return a class for ``strawberry.Schema(extensions=[…])``.

    Queries and mutations are counted, subscriptions are not: they have no end to wait for.

    Args:
        adapter: Counts outcomes.
        context_of: Says who asks, of ``info.context``; without it, within a watched request
            (``create_tracing_middleware(listeners=[adapter])``) who that is of.
        client_error: Says which errors are no failures.
    """
    from strawberry.extensions import SchemaExtension

    def context(seen: Any) -> HandlerContext | None:
        if context_of is None:
            return None
        try:
            return context_of(seen)
        except Exception as error:  # noqa: BLE001 - whatever a stranger's code raises
            adapter.failed("context_of", error)
            return HandlerContext()

    class ExperimentExtension(SchemaExtension):
        """Counts each operation to the arm it was given."""

        def on_operation(self) -> Iterator[None]:
            running = self.execution_context
            who = context(running.context)
            with graphql_execution(adapter, who, client_error=client_error) as execution:
                try:
                    yield None
                finally:
                    execution.counted = _kind(running) in {"query", "mutation"}
                execution.ended(running.result)  # type: ignore[arg-type]

    return ExperimentExtension
