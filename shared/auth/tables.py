"""Tenants and their API keys. Only a digest of a key is stored."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Table, Text

from shared.db.metadata import metadata

tenants = Table(
    "auth_tenants",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("currency", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("default_lifecycle", Text, nullable=True),
)

api_keys = Table(
    "auth_api_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("revoked_ms", BigInteger, nullable=True),
    Index(None, "tenant"),
)
