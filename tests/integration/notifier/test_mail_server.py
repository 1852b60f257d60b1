"""Connections to the mail server."""

from __future__ import annotations

import aiosmtplib
import pytest

from services.notifier.channels.email import MailServer
from services.notifier.channels.letters import Written
from tests.integration.notifier.receivers import mail_server


async def test_a_refused_recipient_costs_no_connection() -> None:
    letter = b"Subject: hello\r\n\r\nhello\r\n"
    async with mail_server() as mailbox:
        mailbox.answers = {"gone@example.com": ["550 nobody"]}
        server = MailServer(mailbox.url)
        with pytest.raises(aiosmtplib.SMTPRecipientsRefused):
            await server.hand_over("d-1", "oi@loja.example", Written("gone@example.com", letter))
        await server.hand_over("d-2", "oi@loja.example", Written("ana@example.com", letter))
        await server.close()
    assert (len(mailbox.messages), mailbox.connections) == (1, 1)
