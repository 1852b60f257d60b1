"""From a pending e-mail to the bytes of its message."""

from __future__ import annotations

from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from typing import Any, Final

import msgspec

from services.notifier.domain.campaign import CampaignClass
from services.notifier.domain.delivery import Channel, Email, PendingDispatch, Planned
from services.notifier.rendering import Letters
from services.notifier.unsubscribing import PATH, Named, Tokens
from shared.contracts.times import from_ms, to_text

# A List-Unsubscribe header that is folded is not recognised by everybody, so lines may be as long as SMTP allows.
WIRE: Final = SMTP.clone(max_line_length=998)


class CannotWrite(Exception):
    """This message can't be made; the message says why, without the address."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Who writes: a display name and an address."""

    name: str
    address: str

    @classmethod
    def parse(cls, text: str) -> Sender:
        """From `Name <address>`. Raises CannotWrite."""
        name, address = parseaddr(text)
        if "@" not in address:
            raise CannotWrite(f"JORNADA_MAIL_FROM is {text!r}; write it like Shop <hello@shop.example>")
        return cls(name or address, address)


@dataclass(frozen=True, slots=True)
class Written:
    """A message ready to hand over."""

    recipient: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes messages. `public_url` is how customers' browsers reach the unsubscribe page."""

    letters: Letters
    sender: Sender
    public_url: str

    def write(self, pending: PendingDispatch, email: Email, tokens: Tokens, now_ms: int) -> Written:
        """The message of one delivery. Raises TemplateError, CannotWrite."""
        planned = pending.planned
        url = self._unsubscribe_url(planned, tokens)
        values = sample_values(self.sender.name) | {
            "customer": {
                "id": planned.customer_id,
                "name": email.contact.name or "",
                "locale": email.contact.locale or "",
            },
            "change": _change(planned, email),
            "facts": msgspec.json.decode(email.story.data).get("facts") or {},
            "unsubscribe_url": url,
        }
        rendered = self.letters.render(planned.template, email.contact.locale, values)
        message = EmailMessage(policy=WIRE)
        recipient = email.contact.email or ""
        try:
            message["From"] = Address(self.sender.name, addr_spec=self.sender.address)
            message["To"] = Address(_one_line(email.contact.name), addr_spec=recipient)
            message["Subject"] = rendered.subject
        except (ValueError, IndexError) as error:
            raise CannotWrite(
                f"the address or the subject can't be written into a header: {type(error).__name__}"
            ) from None
        message["Date"] = format_datetime(from_ms(now_ms))
        message["Message-ID"] = f"<{planned.id}@{self.sender.address.rpartition('@')[2]}>"
        message["Content-Language"] = rendered.locale
        if url:
            message["List-Unsubscribe"] = f"<{url}>"
            message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        else:
            message["Auto-Submitted"] = "auto-generated"
        message.set_content(rendered.text)
        message.add_alternative(rendered.html, subtype="html")
        return Written(recipient, message.as_bytes(policy=WIRE))

    def _unsubscribe_url(self, planned: Planned, tokens: Tokens) -> str:
        if planned.klass is not CampaignClass.MARKETING:
            return ""
        token = tokens.make(Named(planned.tenant, planned.customer_id, Channel.EMAIL))
        return f"{self.public_url.rstrip('/')}{PATH}{token}"


def sample_values(sender_name: str) -> dict[str, Any]:
    """Every variable that a template may use, with harmless values; rendering with them is the check at start."""
    return {
        "customer": {"id": "c-42", "name": "Ana", "locale": "pt-BR"},
        "sender": {"name": sender_name},
        "change": {"lifecycle": "ecommerce", "from": "", "to": "lead", "entry": 1, "at": "2026-11-22T14:03:11.000Z"},
        "facts": {},
        "unsubscribe_url": "https://shop.example/v1/unsubscribe/token",
    }


def _change(planned: Planned, email: Email) -> dict[str, Any]:
    data = msgspec.json.decode(email.story.data)
    return {
        "lifecycle": planned.lifecycle,
        "from": data.get("from") or "",
        "to": planned.place.stage,
        "entry": planned.place.entry,
        "at": to_text(planned.effective_ms),
    }


def _one_line(name: str | None) -> str:
    """A display name without anything that could end a header."""
    return " ".join("".join(c if c.isprintable() else " " for c in name or "").split())
