"""Write explorers on a page of their own: HTML that works from disk, without kernel or network."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from finerkit.output.widgets.modules import module

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from finerkit.output.widgets.base import Explorer


class Embedded(NamedTuple):
    """One explorer on a page: ``body`` goes where it is to be seen; ``kind`` names its browser module."""

    body: str
    kind: str


def embedded(explorer: Explorer, name: str, **changes: Any) -> Embedded:
    """Write an explorer into a page.

    Parameters
    ----------
    explorer
        Any explorer.
    name
        Of this element; unique in the page.
    **changes
        Attributes that differ on the page.
    """
    kind = explorer._module.removesuffix(".js")  # noqa: SLF001 - the same package
    state = explorer.page_state() | changes
    place = html.escape(name)
    return Embedded(
        f'<div data-explorer="{kind}" data-state="{place}"></div>\n'
        f'<script type="application/json" id="{place}">{script_json(state)}</script>',
        kind,
    )


def scripts(kinds: Iterable[str]) -> list[str]:
    """Texts of the module scripts that bring the explorers of these kinds to life; put them at the page's end."""
    mount = module("mount.js").replace("export ", "")
    kinds = dict.fromkeys(kinds)
    bodies = {kind: module(f"{kind}.js").replace("export default { render };", "") for kind in kinds}
    return [f"{body}\n{mount}\nmount({json.dumps(kind)}, render);\n" for kind, body in bodies.items()]


def policy(scripts: Iterable[str]) -> str:
    """Content security policy of a page with these inline scripts: they run, nothing else does, nothing is fetched."""
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def script_json(value: Mapping[str, Any]) -> str:
    """JSON that cannot end the script element it stands in."""
    return json.dumps(value).replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
