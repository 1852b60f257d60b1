"""The unsubscribe page. Looking at it changes nothing, since mail scanners look at every link; the button does.

A mail program's own button posts `List-Unsubscribe=One-Click` to the same address (RFC 8058).
"""

from __future__ import annotations

from html import escape
from typing import Final

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from services.notifier.api.reading import Desk
from services.notifier.domain.locale import best_locale
from services.notifier.store import contacts
from services.notifier.store.contacts import customer_key
from services.notifier.unsubscribing import PATH, Named, unsubscribe

_WORDS: Final = {
    "pt-BR": ("Deixar de receber", "Você não receberá mais e-mails de novidades.", "Não quero mais receber", "Pronto."),
    "es": ("Dejar de recibir", "No recibirá más correos con novedades.", "Ya no quiero recibirlos", "Listo."),
    "en": ("Unsubscribe", "You will get no more marketing e-mails.", "Unsubscribe", "Done."),
}
_UNKNOWN: Final = "Este link não é válido. · Este enlace no es válido. · This link is not valid."
_PAGE: Final = """<!doctype html>
<html lang="{lang}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="robots" content="noindex"><title>{title}</title>
<style>body{{font:18px/1.5 sans-serif;max-width:30em;margin:4em auto;padding:0 1em;text-align:center}}
button{{font:inherit;padding:.6em 1.4em}}</style></head>
<body><h1>{title}</h1>{body}</body></html>"""
_SAFE_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
}


def router(desk: Desk) -> APIRouter:
    """The routes; they need no key, since the token is signed."""
    routes = APIRouter(prefix=PATH.rstrip("/"), tags=["unsubscribe"])

    @routes.get("/{token}", response_class=HTMLResponse)
    async def show(token: str) -> HTMLResponse:
        """A page with a button."""
        named = (await desk.tokens.get()).read(token)
        if named is None:
            return _unknown()
        locale = await _locale(desk, named)
        title, _, button, _ = _WORDS[locale]
        return _page(locale, title, f'<form method="post"><button>{escape(button)}</button></form>')

    @routes.post("/{token}", response_class=HTMLResponse)
    async def confirm(token: str) -> HTMLResponse:
        """End marketing now; doing it again is the same."""
        named = (await desk.tokens.get()).read(token)
        if named is None:
            return _unknown()
        async with desk.database.transaction() as tx:
            await unsubscribe(tx, named, desk.clock())
            tx.after_commit(desk.wake)
        locale = await _locale(desk, named)
        _, promise, _, done = _WORDS[locale]
        return _page(locale, done, f"<p>{escape(promise)}</p>")

    return routes


async def _locale(desk: Desk, named: Named) -> str:
    key = customer_key(named.tenant, named.customer_id)
    async with desk.database.reading() as tx:
        contact = (await contacts.load(tx, [key]))[key]
    return best_locale(contact.locale, _WORDS, "pt-BR")


def _unknown() -> HTMLResponse:
    return HTMLResponse(_PAGE.format(lang="pt-BR", title="404", body=f"<p>{_UNKNOWN}</p>"), 404, _SAFE_HEADERS)


def _page(lang: str, title: str, body: str) -> HTMLResponse:
    return HTMLResponse(_PAGE.format(lang=lang, title=escape(title), body=body), 200, _SAFE_HEADERS)
