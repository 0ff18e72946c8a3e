"""Review: takes suggestions and their evidence, gives a panel in which a person decides.

This is where the panel will live, one widget for notebooks and the same as a local page. This
release has neither yet; ``Lab.approve`` and ``Lab.reject`` decide without it.
"""

__all__: list[str] = []
