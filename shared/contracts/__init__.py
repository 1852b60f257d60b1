"""What crosses a service's border: the one language that all services share.

Nothing here does IO. Wire records are msgspec structs (decoded by the million), payloads that people post are
pydantic models (checked strictly, with errors a person can act on).
"""
