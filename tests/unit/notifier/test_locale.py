"""Which language to write in."""

from __future__ import annotations

import pytest

from services.notifier.domain.locale import best_locale


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("pt-BR", "pt-BR"),
        ("pt-br", "pt-BR"),
        ("pt_BR", "pt-BR"),
        ("pt", "pt-BR"),
        ("pt-PT", "pt-BR"),
        ("es-MX", "es"),
        ("es-419", "es"),
        ("en-GB", "en"),
        ("en-Latn-GB", "en"),
        ("fr-FR", "pt-BR"),
        ("", "pt-BR"),
        (None, "pt-BR"),
    ],
)
def test_fallback(wanted: str | None, expected: str) -> None:
    assert best_locale(wanted, {"pt-BR", "es", "en"}, "pt-BR") == expected
