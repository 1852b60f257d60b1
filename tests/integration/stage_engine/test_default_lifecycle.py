"""Several lifecycles run for every tenant; each tenant means one of them where it names none. Entries are counted."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from services.stage_engine.main import build
from shared.contracts.cloudevent import decode
from shared.contracts.customer_updated import read_customer_updated
from shared.contracts.topics import Topic
from shared.errors import Permanent
from tests.integration.stage_engine.engines import lifecycle_file
from tests.integration.stage_engine.events import Given, append, purchase, signup, visit
from tests.integration.stage_engine.observing import of_customer, published, published_changes, until_handled
from tests.integration.stage_engine.serving import Served, served, unregistered
from tests.integration.stage_engine.stack import Stack

PLACE = "/v1/tenant/default-lifecycle"


async def meant(api: Served, key: Any = None) -> tuple[str, bool, str]:
    """What is told to be the default, whether it was chosen, and what the list of customers takes."""
    told = await api.get(PLACE, key)
    (default,) = [each["name"] for each in (await api.get("/v1/lifecycles", key))["lifecycles"] if each["default"]]
    assert default == told["lifecycle"]
    return told["lifecycle"], told["chosen"], (await api.get("/v1/customers", key))["lifecycle"]


async def test_each_tenant_has_its_own_default(sql_stack: Stack) -> None:
    async with served(sql_stack, lifecycles=("ecommerce", "customer_care")) as api:
        await append(api.resources.log, [signup("ana"), signup("rui", given=Given(tenant="other"))])
        await until_handled(api.resources.database, api.resources.log)
        assert await meant(api) == ("ecommerce", False, "ecommerce")
        answer = await api.ask("PUT", PLACE, api.admin, json={"lifecycle": "customer_care"})
        assert answer.json() == {"lifecycle": "customer_care", "chosen": True}
        assert await meant(api) == ("customer_care", True, "customer_care")
        assert (await api.get("/v1/customers"))["counts"] == {"no_complaint": 1}
        assert await meant(api, api.other_admin) == ("ecommerce", False, "ecommerce")
        await api.ask("DELETE", PLACE, api.admin, 204)
        assert await meant(api) == ("ecommerce", False, "ecommerce")


async def test_the_setting_counts_where_a_tenant_has_not_chosen(sqlite_stack: Stack) -> None:
    await sqlite_stack.create()
    async with served(sqlite_stack, default_lifecycle="customer_care") as api:
        await until_handled(api.resources.database, api.resources.log)
        assert await meant(api) == ("customer_care", False, "customer_care")
        await api.ask("PUT", PLACE, api.admin, json={"lifecycle": "ecommerce"})
        assert await meant(api) == ("ecommerce", True, "ecommerce")
        assert await meant(api, api.other_admin) == ("customer_care", False, "customer_care")


async def test_the_first_listed_counts_by_the_name_in_its_file(sqlite_stack: Stack, tmp_path: Any) -> None:
    await sqlite_stack.create()
    first = lifecycle_file(tmp_path, "mine", "id: bought, from: active, to: safe, on: purchase", stages="active safe")
    async with served(sqlite_stack, lifecycles=(first, "ecommerce")) as api:
        await until_handled(api.resources.database, api.resources.log)
        assert await meant(api) == ("mine", False, "mine")


async def test_only_a_registered_lifecycle_can_be_chosen_and_only_by_an_admin(sql_stack: Stack) -> None:
    async with served(sql_stack, lifecycles=("ecommerce",)) as api:
        await until_handled(api.resources.database, api.resources.log)
        refused = await api.ask("PUT", PLACE, api.admin, 422, json={"lifecycle": "ecomerce"})
        assert refused.json()["errors"] == [
            {
                "pointer": "/lifecycle",
                "detail": "no lifecycle 'ecomerce' is registered",
                "advice": 'did you mean "ecommerce"?',
            }
        ]
        bodies: list[Any] = [{}, {"lifecycle": None}, {"lifecycle": "a\x00"}, {"lifecycle": "ecommerce", "more": 1}, []]
        for body in bodies:
            await api.ask("PUT", PLACE, api.admin, 422, json=body)
        for method in ("PUT", "DELETE"):
            refused = await api.ask(method, PLACE, api.reader, 403, json={"lifecycle": "ecommerce"})
            assert "admin" in refused.json()["detail"]
        await api.ask("GET", PLACE, api.writer, 403)
        assert await meant(api) == ("ecommerce", False, "ecommerce")


async def test_before_an_engine_has_registered_anything_nothing_can_be_chosen(sqlite_stack: Stack) -> None:
    await sqlite_stack.create()
    async with unregistered(sqlite_stack) as api:
        await api.ask("PUT", PLACE, api.admin, 503, json={"lifecycle": "ecommerce"})


async def test_a_setting_that_names_what_does_not_run_ends_the_start(sqlite_stack: Stack) -> None:
    await sqlite_stack.create()
    async with sqlite_stack.process(lifecycles=("ecommerce",), default_lifecycle="ecomerce") as resources:
        with pytest.raises(Permanent, match="JORNADA_DEFAULT_LIFECYCLE") as refused:
            await build(resources)._start()
    assert 'did you mean "ecommerce"?' in str(refused.value)


async def test_how_often_a_stage_was_entered_is_told_wherever_the_stage_is(sql_stack: Stack, tmp_path: Any) -> None:
    file = lifecycle_file(
        tmp_path,
        "turns",
        "id: up, from: active, to: safe, on: purchase",
        "id: down, from: safe, to: active, on: engagement, demotion: true",
        stages="active safe",
    )
    async with served(sql_stack, lifecycles=(file,)) as api:
        log = api.resources.log
        await append(log, [purchase("ana", "o1"), visit("ana", "v1"), purchase("ana", "o2")])
        await until_handled(api.resources.database, log)
        (listed,) = (await api.get("/v1/customers"))["customers"]
        one = (await api.get("/v1/customers/ana"))["lifecycles"]["turns"]
        explained = (await api.get("/v1/customers/ana/explanation"))["lifecycles"]["turns"]
        changes = (await api.get("/v1/customers/ana/stage-changes"))["stage_changes"]
        told = [data for _, data in await published_changes(log)]
        updated = of_customer(await published(log, Topic.CUSTOMER_UPDATED), "ana")
        snapshot = read_customer_updated(decode(updated[-1].value or b"")).customer
    assert [each["entry"] for each in (listed, one, explained)] == [2, 2, 2]
    assert [(each["to"], each["entry"]) for each in changes] == [("active", 1), ("safe", 1), ("active", 2), ("safe", 2)]
    assert [(each.to, each.entry) for each in told] == [(each["to"], each["entry"]) for each in changes]
    assert msgspec.to_builtins(snapshot.stages["turns"])["entry"] == 2
