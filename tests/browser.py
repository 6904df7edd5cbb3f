"""A real JupyterLab in a headless Chromium: run code, look at the page, ask the kernel.

Fixtures ``browser`` and ``lab`` skip, with the reason, where there is no Chromium or no playwright.
"""

import ast
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def chromium():
    """Path of Chromium, or the test is skipped."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    return pytest.skip("no Chromium: install it (Debian: apt-get install chromium) to run the browser tests")


@pytest.fixture(scope="session")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = chromium()
    with playwright.sync_playwright() as driver:
        made = driver.chromium.launch(executable_path=path, args=FLAGS)
        yield made
        made.close()


@contextmanager
def watched(browser, **options):
    """A page that keeps what went wrong: ``page.troubles`` lists console errors and requests that left the machine."""
    context = browser.new_context(viewport={"width": 1300, "height": 1000}, **options)
    page = context.new_page()
    page.troubles = []

    def leaves(request):
        if not request.url.startswith(("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:", "file:")):
            page.troubles.append(f"request: {request.url}")

    page.on("request", leaves)
    page.on("console", lambda m: page.troubles.append(f"console: {m.text}") if m.type == "error" else None)
    page.on("pageerror", lambda e: page.troubles.append(f"error: {e}"))
    try:
        yield page
    finally:
        context.close()


def page_of(explorer, name="a"):
    """A page that holds an explorer and nothing else, under the policy that pages of ours have."""
    from finerkit.output.widgets.page import embedded, policy, scripts

    part = embedded(explorer, name)
    texts = scripts([part.kind])
    head = (
        f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{policy(texts)}"><title>t</title>'
    )
    text = f"<!doctype html><html lang='en'><head>{head}</head><body>{part.body}"
    text += "".join(f'<script type="module">{t}</script>' for t in texts)
    return text + "</body></html>"


class Lab:
    """One JupyterLab with an empty home."""

    def __init__(self, root: Path, browser) -> None:
        self.root, self.browser = root, browser
        self.token = secrets.token_hex(8)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        home = root / "home"
        self.runtime, self.settings = home / "runtime", home / "settings"
        (root / "work").mkdir()
        home.mkdir()
        self.environment = os.environ | {
            "HOME": str(home),
            "JUPYTER_CONFIG_DIR": str(home / "config"),
            "JUPYTER_DATA_DIR": str(home / "data"),
            "JUPYTER_RUNTIME_DIR": str(self.runtime),
            "JUPYTERLAB_SETTINGS_DIR": str(self.settings),
            "IPYTHONDIR": str(home / "ipython"),
            "PYTHONPATH": str(Path(__file__).parent),
        }
        self.log = (root / "lab.log").open("w")
        options = [
            f"--port={self.port}",
            f"--IdentityProvider.token={self.token}",
            f"--ServerApp.root_dir={root / 'work'}",
        ]
        quiet = ["--no-browser", "--ip=127.0.0.1", "--allow-root"]
        self.server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *quiet, *options],
            env=self.environment,
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )
        self._set("notification", fetchNews="false", checkForUpdates=False)
        self._wait()

    def _set(self, name, **values) -> None:
        """A person's settings of one of Lab's own plugins; read when a page is loaded."""
        folder = self.settings / "@jupyterlab" / "apputils-extension"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.jupyterlab-settings").write_text(json.dumps(values))

    def _wait(self) -> None:
        for _ in range(240):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/status?token={self.token}", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.25)
        raise RuntimeError((self.root / "lab.log").read_text()[-3000:])

    def stop(self) -> None:
        self.server.terminate()
        self.server.wait(30)
        self.log.close()

    @contextmanager
    def run(self, *cells, dark=False, run=True, notebook=None, trusted=False):
        """Open a notebook of these cells, run it, and give a `Notebook`."""
        name = f"{secrets.token_hex(4)}.ipynb"
        made = notebook or nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        made.metadata |= kernel  # Lab asks which kernel, where none is named
        nbformat.write(made, self.root / "work" / name)
        if trusted:
            command = [sys.executable, "-m", "jupyter", "trust", self.root / "work" / name]
            subprocess.run(command, env=self.environment, check=True, capture_output=True)
        self._set("themes", theme="JupyterLab Dark" if dark else "JupyterLab Light")
        with watched(self.browser) as page:
            page.goto(f"http://127.0.0.1:{self.port}/lab/tree/{name}?token={self.token}&reset")
            page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=90_000)
            opened = Notebook(self, page, name)
            if run:
                opened.run_all()
            try:
                yield opened
            finally:
                opened.close()


class Notebook:
    """A notebook that is open in the browser."""

    def __init__(self, lab, page, name) -> None:
        self.lab, self.page, self.name = lab, page, name
        self._client = None

    def run_all(self) -> None:
        """Run all cells; the kernel's answers are waited for by `ask`."""
        self.page.wait_for_selector("#jp-main-statusbar >> text=| Idle", timeout=90_000)
        self.page.get_by_text("Run", exact=True).first.click()
        self.page.get_by_text("Run All Cells", exact=True).click()
        self.page.wait_for_selector(".jp-InputPrompt:not(:text-is('[ ]:'))", timeout=90_000)

    def ask(self, expression):
        """Value of a Python expression in the notebook's kernel."""
        reply = self._kernel().execute("", user_expressions={"x": f"repr({expression})"}, reply=True, timeout=90)
        found = reply["content"]["user_expressions"]["x"]
        assert found["status"] == "ok", found
        return ast.literal_eval(ast.literal_eval(found["data"]["text/plain"]))

    def tell(self, code) -> None:
        """Run a statement in the notebook's kernel."""
        reply = self._kernel().execute(code, reply=True, timeout=90)
        assert reply["content"]["status"] == "ok", reply["content"]

    def until(self, expression, value, seconds=10):
        """Wait until a Python expression in the kernel has a value."""
        end = time.monotonic() + seconds
        while (found := self.ask(expression)) != value and time.monotonic() < end:
            time.sleep(0.1)
        assert found == value

    def _kernel(self):
        if self._client is None:
            from jupyter_client import BlockingKernelClient

            self._client = BlockingKernelClient(connection_file=str(self._connection()))
            self._client.load_connection_file()
            self._client.start_channels()
            self._client.wait_for_ready(timeout=90)
        return self._client

    def _connection(self) -> Path:
        url = f"http://127.0.0.1:{self.lab.port}/api/sessions?token={self.lab.token}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            sessions = json.load(answer)
        (kernel,) = [s["kernel"]["id"] for s in sessions if s["path"] == self.name]
        return self.lab.runtime / f"kernel-{kernel}.json"

    def close(self) -> None:
        if self._client is not None:
            self._client.shutdown()
            self._client.stop_channels()


@pytest.fixture(scope="session")
def lab(browser, tmp_path_factory):
    """A JupyterLab; ``with lab.run("code") as notebook: ...``."""
    made = Lab(tmp_path_factory.mktemp("lab"), browser)
    yield made
    made.stop()
