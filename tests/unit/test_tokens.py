"""The text form of API keys."""

from __future__ import annotations

import base64

import pytest

from shared.auth.scopes import Caller, Scope, parse_scopes
from shared.auth.tokens import Token, new_token, read_authorization
from shared.errors import Permanent


def test_secret_has_256_bits_and_is_never_the_same() -> None:
    made = [new_token() for _ in range(50)]
    assert len({token.secret for token in made}) == len({token.key_id for token in made}) == 50
    assert all(len(base64.urlsafe_b64decode(token.secret + "=")) == 32 for token in made)


def test_authorization_gives_the_token_back() -> None:
    token = new_token()
    assert read_authorization(f"Bearer {token.text()}") == token
    assert read_authorization(f"bearer  {token.text()} ") == token


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic YTpi",
        "Bearer jrn_0011223344556677.short",
        "Bearer jrn_00112233.{secret}",
        "{text}",
    ],
)
def test_other_authorization_gives_none(header: str | None) -> None:
    token = new_token()
    sent = header and header.format(text=token.text(), secret=token.secret)
    assert read_authorization(sent) is None


def test_only_the_right_secret_matches_the_digest() -> None:
    token = new_token()
    assert token.matches(token.digest())
    assert not Token(token.key_id, new_token().secret).matches(token.digest())
    assert token.secret not in token.digest()


def test_admin_may_everything_and_others_only_what_they_have() -> None:
    admin = Caller("acme", "1", frozenset({Scope.ADMIN}))
    writer = Caller("acme", "2", frozenset({Scope.EVENTS_WRITE}))
    assert {scope for scope in Scope if not admin.may(scope)} == {Scope.LIFECYCLES_PUBLISH}
    assert [scope for scope in Scope if writer.may(scope)] == [Scope.EVENTS_WRITE]


def test_unknown_scope_is_refused_with_the_known_ones() -> None:
    with pytest.raises(Permanent, match="events:write, events:backfill"):
        parse_scopes(["events:delete"])
