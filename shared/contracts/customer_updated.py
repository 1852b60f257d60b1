"""The newest version of a customer, on a compacted topic: what changes between planning a campaign and sending it."""

from __future__ import annotations

from typing import Final

import msgspec

from shared.contracts.cloudevent import CloudEvent
from shared.contracts.stage_changed import CustomerSnapshot

CUSTOMER_UPDATED_TYPE: Final = "customer.updated"


class CustomerUpdated(msgspec.Struct, frozen=True):
    """Published when profile, consent, open complaints or a current stage changed. Readers drop older revisions."""

    customer_id: str
    revision: int
    customer: CustomerSnapshot


def read_customer_updated(event: CloudEvent) -> CustomerUpdated:
    """The payload of a `customer.updated` record. Raises ValueError that names the field."""
    return msgspec.convert(event.data, CustomerUpdated)
