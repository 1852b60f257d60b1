"""Letters: for each template and locale a text with its subject and an MJML body, set into that locale's shell.

    templates/<template>/<locale>.txt.liquid     first line `Subject: …`, then the text
    templates/<template>/<locale>.mjml.liquid    the body's MJML blocks
    templates/letter/<locale>.mjml               the shell of every HTML letter; `<!-- letter -->` is where the body goes
    templates/letter/<locale>.txt.liquid         the same for texts; `{{ letter }}` is the text

MJML becomes HTML once, at start; what is left then is Liquid.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import mjml

from services.notifier.domain.locale import best_locale
from services.notifier.liquid import Template, TemplateError

SHIPPED: Final = Path(__file__).parent / "templates"
_SHELL: Final = "letter"
_PLACE: Final = "<!-- letter -->"
_SUBJECT: Final = "Subject:"

Begin = Callable[[str], None]
"""Is told which letter is begun, so that one that never ends can be named."""


def _untold(_letter: str) -> None:
    return


@dataclass(frozen=True, slots=True)
class Rendered:
    """A letter, ready to be put into a message. The subject is one line."""

    locale: str
    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class Letter:
    """One template in one locale, parsed."""

    subject: Template
    text: Template
    frame: Template
    html: Template

    def render(self, locale: str, values: Mapping[str, Any]) -> Rendered:
        """Raises TemplateError."""
        given = dict(values)
        text = self.frame.render({**given, "letter": self.text.render(given)})
        subject = " ".join(self.subject.render(given).split())
        return Rendered(locale, subject, text, self.html.render(given))


class Letters:
    """All templates of a folder. Reading them raises TemplateError for the first that is wrong."""

    def __init__(self, default_locale: str, folder: Path = SHIPPED, begin: Begin = _untold) -> None:
        self._default = default_locale
        self._by_template: dict[str, dict[str, Letter]] = {}
        for source in sorted(folder.glob("*/*.txt.liquid")):
            name, locale = source.parent.name, source.name.removesuffix(".txt.liquid")
            if name != _SHELL:
                begin(f"{name}/{locale}")
                self._by_template.setdefault(name, {})[locale] = _read(folder, name, locale)
        for name, locales in self._by_template.items():
            if default_locale not in locales:
                raise TemplateError(f"{folder / name} has no letter in {default_locale}, the default locale: add one")

    def names(self) -> frozenset[str]:
        """The templates there are."""
        return frozenset(self._by_template)

    def locales(self, template: str) -> frozenset[str]:
        """The locales of one template."""
        return frozenset(self._by_template.get(template, ()))

    def render(self, template: str, wanted_locale: str | None, values: Mapping[str, Any]) -> Rendered:
        """The letter in the closest locale there is. Raises TemplateError."""
        locales = self._by_template.get(template)
        if locales is None:
            raise TemplateError(f"there is no template {template!r}; there are {', '.join(sorted(self._by_template))}")
        locale = best_locale(wanted_locale, locales, self._default)
        return locales[locale].render(locale, values)

    def check(self, values: Mapping[str, Any], begin: Begin = _untold) -> None:
        """Render everything once with sample values. Raises TemplateError: better at start than at a customer's turn."""
        for template, locales in self._by_template.items():
            for locale in locales:
                begin(f"{template}/{locale}")
                self.render(template, locale, values)


def _read(folder: Path, name: str, locale: str) -> Letter:
    path = folder / name / f"{locale}.txt.liquid"
    first, _, rest = path.read_text(encoding="utf-8").partition("\n")
    if not first.startswith(_SUBJECT):
        raise TemplateError(f"{path}: the first line must be `Subject: …`")
    body = (folder / name / f"{locale}.mjml.liquid").read_text(encoding="utf-8")
    shell = (folder / _SHELL / f"{locale}.mjml").read_text(encoding="utf-8")
    frame = (folder / _SHELL / f"{locale}.txt.liquid").read_text(encoding="utf-8")
    label = f"{name}/{locale}"
    return Letter(
        Template(f"{label} subject", first.removeprefix(_SUBJECT).strip(), html=False),
        Template(f"{label}.txt", rest.lstrip("\n"), html=False),
        Template(f"letter/{locale}.txt", frame, html=False),
        Template(f"{label}.mjml", _html(label, shell.replace(_PLACE, body)), html=True),
    )


def _html(label: str, source: str) -> str:
    try:
        return str(mjml.mjml2html(source))
    except ValueError as error:
        raise TemplateError(f"{label}.mjml.liquid is no valid MJML: {error}") from None
