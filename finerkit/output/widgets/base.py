"""Share what all explorers do: show their errors, and leave a still picture for readers without a kernel."""

from __future__ import annotations

import base64
import io
import uuid
import warnings
from typing import TYPE_CHECKING, Any

import anywidget
import numpy as np
import traitlets as t
from PIL import Image

from finerkit.base.names import resolve
from finerkit.output.figures.colours import DIVERGING, SEQUENTIAL, colours
from finerkit.output.widgets.modules import module, style

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


class Explorer(anywidget.AnyWidget):
    """Base of the explorers: arithmetic and drawing happen in the browser, state is readable and settable from Python.

    Attributes
    ----------
    error : str
        What went wrong last, shown under the widget: in a callback, or with a value the browser sent.
    """

    error = t.Unicode("").tag(sync=True)

    #: Browser module of the class, in ``static/``.
    _module = ""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        if "_module" in cls.__dict__:  # not again in the class that add_traits makes of an instance
            cls._esm, cls._css = module(cls._module), style()
        super().__init_subclass__(**kwargs)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.on_msg(self._answer)

    def set_state(self, sync_data: Mapping[str, Any]) -> None:
        """Take over what the browser changed; what a callback raises is shown under the widget, not lost in a log."""
        self._shielded(lambda: super(Explorer, self).set_state(sync_data))

    def on_request(self, request: Mapping[str, Any]) -> None:
        """Answer what the browser asks for; explorers that offer something override this."""
        raise ValueError(f"{type(self).__name__} does not know the request {request.get('kind')!r}.")

    def snapshot(self) -> bytes:
        """Bytes of a PNG: what is shown now as a figure for print, for readers without a kernel."""
        with warnings.catch_warnings(action="ignore"):  # names left out, photos not found: the explorer has said so
            drawn = Image.open(io.BytesIO(self._still()))
        buffer = io.BytesIO()
        drawn.convert("RGB").quantize(128).save(buffer, "PNG", optimize=True)  # a third of the bytes
        return buffer.getvalue()

    def _still(self) -> bytes:
        """PNG of the figure that shows the same; each explorer has its own."""
        raise NotImplementedError

    def page_state(self) -> dict[str, Any]:
        """All that the browser module needs to show this view without a kernel: plain values, bytes as base64."""
        skip = {
            name for name in self.keys if name.startswith(("_model", "_view", "_esm", "_css", "_dom", "_anywidget"))
        }
        skip |= {"layout", "tabbable", "tooltip"}
        return {name: _plain(getattr(self, name)) for name in self.keys if name not in skip}

    def _refuse_unknown(self, state: Mapping[str, Any], fixed: tuple[str, ...] = ()) -> None:
        """Refuse names that are no attribute, or one of those in `fixed`, which cannot be set; call before all else."""
        unknown = [name for name in state if not self.has_trait(name) or name in fixed]
        if unknown:
            raise TypeError(f"{type(self).__name__} has no attribute {unknown[0]!r} to set: its docstring lists them.")

    def _answer(self, _widget: Any, content: Any, _buffers: Any) -> None:
        if isinstance(content, dict) and "kind" in content:
            self._shielded(lambda: self.on_request(content))

    def _shielded(self, work: Callable[[], Any]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - whatever a person's callback raises belongs under the widget
            self.error = f"{type(error).__name__}: {error}"
        else:
            self.error = ""

    def _ipython_display_(self) -> None:
        """Show the explorer at once; once its cell has run, a still picture joins it, to be saved with the notebook."""
        from IPython import get_ipython
        from IPython.display import display

        if self._repr_mimebundle_ is None:  # closed
            raise NotImplementedError
        data, metadata = self._repr_mimebundle_()
        shown = {"raw": True, "metadata": metadata, "display_id": uuid.uuid4().hex}
        display(data, **shown)
        events = get_ipython().events

        def join_picture(_result: Any = None) -> None:
            events.unregister("post_run_cell", join_picture)
            try:
                picture = base64.b64encode(self.snapshot()).decode()
            except Exception as error:  # noqa: BLE001 - without its picture the explorer works
                self.error = f"No still picture was made for the saved notebook. {type(error).__name__}: {error}"
            else:
                display(data | {"image/png": picture}, **shown, update=True)

        events.register("post_run_cell", join_picture)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes | memoryview):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value


def tables() -> dict[str, np.ndarray]:
    """Every colour map that is offered, as 256 x 4 bytes (red, green, blue, alpha) at full opacity."""
    named = [(name, False) for name in SEQUENTIAL] + [(name, True) for name in DIVERGING]
    return {name: np.rint(255 * colours(name, signed, opacity=1)).astype(np.uint8) for name, signed in named}


def known(name: str, names: Iterable[str], what: str, hint: str = "") -> str:
    """The name that was meant, or the error of a trait that cannot be set so; see `finerkit.base.names.resolve`."""
    try:
        return resolve(name, names, what, hint)
    except ValueError as error:
        raise t.TraitError(str(error)) from None


def number(low: float, high: float, default: float, words: str) -> t.Float:
    """A number in a range, with an error that says so."""
    return _Ranged(default, low=low, high=high, words=words).tag(sync=True)


class _Ranged(t.Float):
    def __init__(self, default: float, *, low: float, high: float, words: str) -> None:
        super().__init__(default)
        self._low, self._high, self._words = low, high, words

    def validate(self, _obj: Any, value: Any) -> float:
        """Refuse what is no number in the range."""
        try:
            found = float(value)
        except (TypeError, ValueError):
            found = float("nan")
        if isinstance(value, str | bool) or not self._low <= found <= self._high:
            raise t.TraitError(
                f"{self._words} must be a number in the range [{self._low:g}, {self._high:g}]. Got {value!r} instead."
            )
        return found


def one_of(options: tuple[str, ...], words: str, default: str | None = None) -> t.Unicode:
    """One of some words, with an error that lists them."""
    return _Choice(default or options[0], options=options, words=words).tag(sync=True)


class _Choice(t.Unicode):
    def __init__(self, default: str, *, options: tuple[str, ...], words: str) -> None:
        super().__init__(default)
        self._options, self._words = options, words

    def validate(self, _obj: Any, value: Any) -> str:
        """Refuse what is not on the list."""
        if value not in self._options:
            listed = ", ".join(map(repr, self._options))
            raise t.TraitError(f"{self._words} must be one of {listed}. Got {value!r} instead.")
        return value
