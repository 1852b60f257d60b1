"""Which mail server a URL names, and which URLs name none: told at the start, not letter by letter."""

from __future__ import annotations

import pytest

from services.notifier.channels.email import MailServer, client_of
from shared.errors import Permanent


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("smtp://mail", "mail", 25),
        ("smtps://mail", "mail", 465),
        ("smtp://user:a%2Fb@mail:2525", "mail", 2525),
        ("smtp://[::1]:1025", "::1", 1025),
    ],
)
def test_a_port_goes_by_the_scheme_unless_it_is_given(url: str, host: str, port: int) -> None:
    client = client_of(url, 1.0)
    assert (client.hostname, client.port) == (host, port)


@pytest.mark.parametrize(
    "url",
    [
        "smtp://mail:smtp",
        "smtp://mail:0",
        "smtp://mail:65536",
        "smtp://[mail:25",
        "smtp://",
        "mail:25",
        "http://mail",
        "smtp://user:sec/ret@mail",
    ],
)
def test_what_is_no_address_is_refused_at_once_and_without_its_password(url: str) -> None:
    with pytest.raises(Permanent, match="JORNADA_SMTP_URL must be written like") as told:
        MailServer(url)
    assert "sec" not in str(told.value)
