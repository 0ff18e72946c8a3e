"""The demo shop: a real small service, to be watched, recorded, broken and tested.

Takes settings and faults, gives an ASGI application (``create_shop``) of eleven operations for four
tenants over an sqlite database, with a payments service it waits for and a worker it hands orders
to; its spans come from the OpenTelemetry SDK (``OtlpFileExporter`` writes them as the Collector
does), ``Watch`` puts the package's own middleware beside them, its promises stand in ``openapi_document``. ``python -m evolution_lab.demo.shop`` serves it.
Needs the extra ``demo``.
"""

from evolution_lab.errors import MissingExtraError

try:
    from evolution_lab.demo.shop.app import ShopApp, create_shop
    from evolution_lab.demo.shop.openapi import openapi_document
    from evolution_lab.demo.shop.otlp_file import OtlpFileExporter
    from evolution_lab.demo.shop.payments import create_payments
    from evolution_lab.demo.shop.serving import ServedApp
    from evolution_lab.demo.shop.settings import REGRESSIONS, ShopSettings
    from evolution_lab.demo.shop.watching import Watch
except ModuleNotFoundError as error:
    if error.name is not None and error.name.startswith("evolution_lab"):
        raise
    raise MissingExtraError("demo", "the demo shop") from error

__all__ = [
    "REGRESSIONS",
    "OtlpFileExporter",
    "ServedApp",
    "ShopApp",
    "ShopSettings",
    "Watch",
    "create_payments",
    "create_shop",
    "openapi_document",
]
