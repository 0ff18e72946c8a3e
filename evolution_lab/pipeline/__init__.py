"""Detection inside a service, sample by sample.

Takes ``TelemetrySample``s as they happen; ``EvolutionPipeline`` tests aligned windows as they close,
each once, and tells its listeners: ``telemetry.window`` and ``intent.detected``. A rolling view of the
trailing window is shown, never tested. ``Regenerator`` proposes what a pipeline finds and hands on what
people decide, to a directory, a git branch, webhooks and functions.
"""

from evolution_lab.pipeline.deliveries import Deliveries
from evolution_lab.pipeline.destinations import CallableHook, Destination, DirectoryDestination
from evolution_lab.pipeline.events import EVENTS, EventType, Listener, PipelineEvent
from evolution_lab.pipeline.evolution_pipeline import EvolutionPipeline, PipelineCounters
from evolution_lab.pipeline.git_branch import GitBranchDestination
from evolution_lab.pipeline.outbox import OutboxCounts
from evolution_lab.pipeline.regenerator import Regenerator, RegeneratorCounters
from evolution_lab.pipeline.suggestion_events import SuggestionEvent
from evolution_lab.pipeline.webhooks import WebhookDestination

__all__ = [
    "EVENTS",
    "CallableHook",
    "Deliveries",
    "Destination",
    "DirectoryDestination",
    "EventType",
    "EvolutionPipeline",
    "GitBranchDestination",
    "Listener",
    "OutboxCounts",
    "PipelineCounters",
    "PipelineEvent",
    "Regenerator",
    "RegeneratorCounters",
    "SuggestionEvent",
    "WebhookDestination",
]
