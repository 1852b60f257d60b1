"""Liquid with bounds: a template may be wrong, never expensive.

The engine's own limits cover loops and output but not filters, which may build anything in memory; so every filter
is wrapped, and those that are left out are not needed in a letter.
"""

from __future__ import annotations

from collections.abc import Callable, Sized
from typing import Any, Final

from liquid import Environment, StrictUndefined
from liquid.exceptions import LiquidError

MAX_TEXT: Final = 64 * 1024
MAX_ITEMS: Final = 1_000
_FILTER_NAMES: Final = """
abs append at_least at_most capitalize ceil compact date default divided_by downcase escape escape_once first floor join
last lstrip minus modulo newline_to_br plus prepend replace_first reverse round rstrip size slice split squish strip
strip_html strip_newlines times truncate truncatewords uniq upcase url_encode
"""
_TAG_NAMES: Final = "# assign break capture case comment content continue echo for if illegal output unless"
FILTERS: Final = frozenset(_FILTER_NAMES.split())
"""Left out: what marks text as safe, and `replace`, whose result can be the product of two long texts."""
TAGS: Final = frozenset(_TAG_NAMES.split())


class TemplateError(Exception):
    """A template can't be read or rendered; the message says where and why."""


class BoundedEnvironment(Environment):
    """Liquid for letters: strict about names, bounded in loops, output, nesting and every value a filter touches."""

    loop_iteration_limit = MAX_ITEMS
    local_namespace_limit = MAX_TEXT
    output_stream_limit = 4 * MAX_TEXT
    context_depth_limit = 20
    block_nesting_limit = 20

    def __init__(self, *, autoescape: bool) -> None:
        super().__init__(undefined=StrictUndefined, autoescape=autoescape)
        self.filters = {name: _bounded(name, self.filters[name]) for name in FILTERS}
        self.tags = {name: tag for name, tag in self.tags.items() if name in TAGS}


class Template:
    """One parsed template. `html` escapes what is put in."""

    def __init__(self, name: str, source: str, *, html: bool) -> None:
        self._name = name
        try:
            self._parsed = (_HTML if html else _TEXT).from_string(source, name=name)
        except LiquidError as error:
            raise TemplateError(f"{name}: {error}") from None

    def render(self, values: dict[str, Any]) -> str:
        """The text. Raises TemplateError for an unknown name or a bound that was hit."""
        try:
            return str(self._parsed.render(values))
        except (LiquidError, ArithmeticError, TypeError, ValueError, RecursionError) as error:
            raise TemplateError(f"{self._name}: {error}") from None


def _bounded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(*values: Any, **options: Any) -> Any:
        for value in (*values, *options.values()):
            _check(name, value)
        result = function(*values, **options)
        _check(name, result)
        return result

    # The engine looks at these to know what else a filter wants to be given.
    for attribute in ("with_context", "with_environment", "filter_async"):
        if hasattr(function, attribute):
            setattr(wrapped, attribute, getattr(function, attribute))
    return wrapped


def _check(name: str, value: object) -> None:
    if isinstance(value, str):
        too_big = len(value) > MAX_TEXT
    elif isinstance(value, int | float):
        too_big = abs(value) > 10**15
    elif isinstance(value, Environment):
        too_big = False
    else:
        too_big = isinstance(value, Sized) and len(value) > MAX_ITEMS
    if too_big:
        raise ValueError(f"the filter {name} was given or made more than it may handle")


_TEXT = BoundedEnvironment(autoescape=False)
_HTML = BoundedEnvironment(autoescape=True)
