"""Detection inside a service, sample by sample.

Takes ``TelemetrySample``s as they happen; ``EvolutionPipeline`` tests aligned windows as they close,
each once, and tells its listeners: ``telemetry.window`` and ``intent.detected``. A rolling view of the
trailing window is shown, never tested.
"""

from evolution_lab.pipeline.events import EVENTS, EventType, Listener, PipelineEvent
from evolution_lab.pipeline.evolution_pipeline import EvolutionPipeline, PipelineCounters

__all__ = [
    "EVENTS",
    "EventType",
    "EvolutionPipeline",
    "Listener",
    "PipelineCounters",
    "PipelineEvent",
]
