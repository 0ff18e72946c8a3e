"""JupyterLab as `evolution-lab notebook` starts it, on settings of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def jupyter_lab(folder: Path, *, token: str, theme: str = "JupyterLab Light") -> Iterator[str]:
    """Serve the notebooks of ``folder/work`` over the lab in ``folder/data``; gives the address."""
    config, runtime, chosen = folder / "config", folder / "runtime", folder / "settings"
    config.mkdir()
    themes = chosen / "@jupyterlab" / "apputils-extension"
    themes.mkdir(parents=True)
    (themes / "themes.jupyterlab-settings").write_text(json.dumps({"theme": theme}))
    settings = {
        "ServerApp": {"ip": "127.0.0.1", "port": 0, "port_retries": 0, "allow_root": True},
        "IdentityProvider": {"token": token},
        "LabApp": {
            "news_url": None,
            "check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
        },
    }
    (config / "jupyter_server_config.json").write_text(json.dumps(settings))
    (config / "jupyter_lab_config.json").write_text(json.dumps(settings))
    environment = os.environ | {
        "JUPYTER_RUNTIME_DIR": str(runtime),
        "JUPYTER_CONFIG_DIR": str(config),
        "JUPYTERLAB_SETTINGS_DIR": str(chosen),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "evolution_lab", "notebook", "work", "--no-browser"],
            cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        try:
            yield _address(server, runtime, folder / "server.log")
        finally:
            os.killpg(server.pid, 15)
            server.wait(30)


def _address(server: subprocess.Popen[bytes], runtime: Path, log: Path) -> str:
    until = time.monotonic() + 90
    while time.monotonic() < until and server.poll() is None:
        for file in runtime.glob("jpserver-*.json"):
            try:
                return str(json.loads(file.read_text())["url"])
            except (ValueError, KeyError):
                pass  # It is being written.
        time.sleep(0.1)
    raise AssertionError(f"JupyterLab did not start: {log.read_text()[-2000:]}")
