"""The demo shop: a small real service whose recorded traffic the bundled sample will come from.

The service and its recorder will live here. This release has neither yet: its sample is made by
``evolution_lab.datasets``.
"""

__all__: list[str] = []
