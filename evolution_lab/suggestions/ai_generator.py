"""A language model drafts the words and the change of a suggestion; people decide, as on any other.

The model proposes through one tool call that needs a person's approval. What it proposes is checked
before anybody sees it: an overlay that does not apply, does not validate or reaches beyond the
operation goes back to the model with the reason, and is refused in the end. The suggestion made of
it is submitted to the same orchestrator as any other; ``conclude`` hands the decision taken there
back to the model.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from evolution_lab.contracts import OpenApiDocument
from evolution_lab.display import strip_controls
from evolution_lab.errors import (
    ConfigError,
    InputError,
    MissingExtraError,
    RefusedDraftError,
)
from evolution_lab.records import SpecSuggestion
from evolution_lab.redaction import LabKey
from evolution_lab.redaction.payloads import PayloadSanitiser
from evolution_lab.redaction.stand_ins import is_stand_in
from evolution_lab.suggestions.ai_draft import AI_CREATOR, drafted_suggestion
from evolution_lab.suggestions.ai_overlays import (
    DraftedAction,
    DraftedChange,
    check_draft,
    texts_of,
)
from evolution_lab.suggestions.ai_prompt import INSTRUCTIONS, TOOL, prompt_of, route_of
from evolution_lab.suggestions.validation import LONGEST_SUMMARY, validate_suggestion

if TYPE_CHECKING:
    from pydantic_ai import Agent, DeferredToolRequests
    from pydantic_ai.messages import ModelMessage
    from pydantic_ai.models import Model

T = TypeVar("T")
LONGEST_RATIONALE: Final = 8_000
AUTOMATIC: Final = "auto-evolution"


@dataclass(frozen=True, kw_only=True)
class AIDraft:
    """What a model proposed and a person has not yet decided on.

    Attributes:
        suggestion: To be submitted to the orchestrator; marked as made by a model.
        source: The suggestion it was drafted from.
        document: The document it changes.
        call: Names the tool call that waits for a person.
        messages: The conversation so far.
    """

    suggestion: SpecSuggestion
    source: SpecSuggestion = field(repr=False)
    document: OpenApiDocument | None = field(repr=False)
    call: str
    messages: tuple[ModelMessage, ...] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class AISpecGenerator:
    """Drafts summary, rationale and change of a suggestion with a language model.

    Attributes:
        model: A model of pydantic-ai, or the name of one such as ``anthropic:NAME``; the library of
            its provider is installed beside it (``pydantic-ai-slim[anthropic]``).
        key: The lab's key: personal data and secrets are replaced before anything leaves.
        retries: How often the model may mend what was refused.
        timeout_seconds: For each answer of the model.

    Examples:
        >>> AISpecGenerator(model="anthropic:a-model", key=LabKey(b"k" * 32)).model_name
        'anthropic:a-model'
    """

    model: str | Model
    key: LabKey = field(repr=False)
    retries: int = 2
    timeout_seconds: float = 120.0

    @property
    def model_name(self) -> str:
        """The model's name, as ``created_by`` says it after ``ai:``."""
        return self.model if isinstance(self.model, str) else self.model.model_name

    def draft(
        self, suggestion: SpecSuggestion, *, document: OpenApiDocument | None = None
    ) -> AIDraft:
        """Have a model draft a suggestion anew.

        Args:
            suggestion: With its evidence; it stays as it is.
            document: The team's own document with the operation; without it only words are drafted.

        Raises:
            MissingExtraError: The extra ``ai`` is not installed.
            ConfigError: There is no such model, or its provider's library or key is missing.
            RefusedDraftError: The model gave no answer, proposed nothing, or nothing that stands the checks.
            InputError: What the model would have to read is too long.
            UnsafePayloadError: Something personal would leave.
        """
        return self._run(suggestion, document, self.prompt(suggestion, document=document))

    def prompt(self, suggestion: SpecSuggestion, *, document: OpenApiDocument | None = None) -> str:
        """Return what the model is shown, sanitised; nothing is sent.

        Args, returns and errors are those of ``draft``.
        """
        return prompt_of(suggestion, document, key=self.key)

    def conclude(self, draft: AIDraft, decided: SpecSuggestion) -> AIDraft | str:
        """Hand a person's decision back to the model as the result of its tool call.

        Args:
            draft: What ``draft`` returned.
            decided: The suggestion as the orchestrator returned it with the decision.

        Returns:
            The model's last words, or another draft where it mends what was rejected.

        Raises:
            RefusedDraftError: It is another suggestion, or no person decided on it, or what the
                model proposes next does not stand the checks.
        """
        if decided.id != draft.suggestion.id:
            raise RefusedDraftError(
                f"decided.id == {decided.id[:8]!r}, must be {draft.suggestion.id[:8]!r}."
            )
        decision = decided.approvals[-1] if decided.approvals else None
        if decision is None or decided.status not in {"approved", "rejected"}:
            raise RefusedDraftError(
                f"suggestion {decided.id[:8]} is {decided.status}: a person must decide first."
            )
        if decision.reviewer == AUTOMATIC or decision.reviewer.startswith(AI_CREATOR):
            raise RefusedDraftError(
                f"reviewer == {decision.reviewer!r}, must be a person: models never approve."
            )
        from pydantic_ai import DeferredToolResults, ToolApproved, ToolDenied

        if decided.status == "approved":
            answer: ToolApproved | ToolDenied = ToolApproved()
        else:
            notes = {"rejected": {"notes": decision.notes or ""}}
            clean = PayloadSanitiser(self.key, free_text="keep").sanitised(notes).payload
            answer = ToolDenied(message=f"Rejected: {clean['rejected']['notes']}")
        results = DeferredToolResults(approvals={draft.call: answer})
        agent, refusals = self._agent(draft.source, draft.document)
        output, messages = self._ask(
            lambda: agent.run(message_history=list(draft.messages), deferred_tool_results=results),
            refusals,
        )
        if isinstance(output, str):
            return strip_controls(output)
        return self._proposed(draft.source, draft.document, output, messages)

    def _run(
        self, suggestion: SpecSuggestion, document: OpenApiDocument | None, prompt: str
    ) -> AIDraft:
        agent, refusals = self._agent(suggestion, document)
        output, messages = self._ask(lambda: agent.run(prompt), refusals)
        if isinstance(output, str):
            raise RefusedDraftError("the model answered in words, must propose a change.")
        return self._proposed(suggestion, document, output, messages)

    def _ask(
        self, run: Callable[[], Coroutine[Any, Any, Any]], refusals: list[str]
    ) -> tuple[str | DeferredToolRequests, tuple[ModelMessage, ...]]:
        from pydantic_ai.exceptions import AgentRunError, UnexpectedModelBehavior

        try:
            result = _apart(run)
        except UnexpectedModelBehavior as error:
            reason = refusals[-1] if refusals else " ".join(str(error).split())[:300]
            raise RefusedDraftError(
                f"what {self.model_name} drafted was refused {max(len(refusals), 1)} times, "
                f"the last time because: {reason}"
            ) from error
        except AgentRunError as error:
            reason = " ".join(str(error).split())[:300]
            raise RefusedDraftError(f"{self.model_name} gave no answer: {reason}") from error
        return result.output, tuple(result.all_messages())

    def _agent(
        self, source: SpecSuggestion, document: OpenApiDocument | None
    ) -> tuple[Agent[object, Any], list[str]]:
        try:
            from pydantic_ai import Agent, DeferredToolRequests, ModelRetry, RunContext, Tool
        except ImportError:
            raise MissingExtraError("ai", "AISpecGenerator") from None
        refusals: list[str] = []

        def propose_change(
            summary: str,
            rationale: str,  # noqa: ARG001 - what the model says, kept with the call
            actions: list[DraftedAction],  # noqa: ARG001
        ) -> str:
            """Propose a change of the specification to the people who decide.

            Args:
                summary: One sentence: what to change.
                rationale: Why, with the numbers of the evidence.
                actions: Actions of an OpenAPI Overlay 1.0; none where only words change.
            """
            return f"Approved by a person: {summary}"

        def checked(
            context: RunContext[object],  # noqa: ARG001 - handed in by pydantic-ai
            summary: str,
            rationale: str,
            actions: list[DraftedAction],
        ) -> None:
            # After approval the call is validated again: it was checked before it was shown.
            try:
                self._suggestion(source, document, summary, rationale, actions)
            except InputError as error:
                refusals.append(str(error))
                raise ModelRetry(f"Refused: {error}") from None

        agent: Agent[object, Any] = Agent(
            self._model(),
            output_type=[str, DeferredToolRequests],
            instructions=INSTRUCTIONS,
            tools=[
                Tool(
                    propose_change,
                    name=TOOL,
                    requires_approval=True,
                    args_validator=checked,
                    max_retries=self.retries,
                )
            ],
            model_settings={"timeout": self.timeout_seconds},
        )
        return agent, refusals

    def _model(self) -> Model:
        from pydantic_ai.exceptions import UserError
        from pydantic_ai.models import infer_model

        try:
            return infer_model(self.model)
        except (ImportError, UserError, ValueError) as error:
            reason = " ".join(str(error).split())[:300]
            raise ConfigError(f"model == {self.model!r} cannot be used: {reason}") from error

    def _proposed(
        self,
        source: SpecSuggestion,
        document: OpenApiDocument | None,
        output: DeferredToolRequests,
        messages: tuple[ModelMessage, ...],
    ) -> AIDraft:
        from pydantic import TypeAdapter

        if len(output.approvals) != 1:
            raise RefusedDraftError(
                f"the model proposed {len(output.approvals)} changes at once, must propose one."
            )
        call = output.approvals[0]
        given = call.args_as_dict()
        actions = TypeAdapter(list[DraftedAction]).validate_python(given["actions"])
        suggestion = self._suggestion(
            source, document, given["summary"], given["rationale"], actions
        )
        return AIDraft(
            suggestion=suggestion,
            source=source,
            document=document,
            call=call.tool_call_id,
            messages=messages,
        )

    def _suggestion(
        self,
        source: SpecSuggestion,
        document: OpenApiDocument | None,
        summary: str,
        rationale: str,
        actions: list[DraftedAction],
    ) -> SpecSuggestion:
        summary = " ".join(strip_controls(summary).split())
        rationale = strip_controls(rationale).strip()
        for name, text, most in (
            ("summary", summary, LONGEST_SUMMARY),
            ("rationale", rationale, LONGEST_RATIONALE),
        ):
            if len(text) > most:
                raise RefusedDraftError(
                    f"{name} has {len(text)} characters, must have at most {most}."
                )
        for text in texts_of([action.update for action in actions]):
            if is_stand_in(text):
                raise RefusedDraftError(f"{text!r} stands for personal data, must not be used.")
        change: DraftedChange | None = None
        if actions:
            if document is None:
                raise RefusedDraftError("there is no document, actions must be empty.")
            route = route_of(source, document)
            change = check_draft(actions, document, route=route, title=summary)
        made = drafted_suggestion(
            source, model=self.model_name, summary=summary, rationale=rationale, change=change
        )
        broken = validate_suggestion(made)
        if broken:
            raise RefusedDraftError(" ".join(broken))
        return made


def _apart(run: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run in a thread with an event loop of its own: in notebooks this one has one that runs."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(lambda: asyncio.run(run())).result()
