"""What is advised when a registered lifecycle's file has changed can be done."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from migrations.running import migrate
from services.stage_engine.definitions.definition import SHIPPED, load_definition
from services.stage_engine.definitions.registering import DefinitionDiffers, register
from services.stage_engine.publications.publishing import Request, publish, roll_back
from shared.contracts.topics import topic_specs
from shared.db.connect import connect
from shared.db.port import Database
from shared.errors import Permanent
from shared.log.connect import open_log
from shared.log.port import Log
from shared.settings import load

TEXT = (SHIPPED / "ecommerce.yaml").read_text()
WHY = Request("a test", "tester", 5)
Place = tuple[Database, Log]


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    url = f"sqlite+aiosqlite:///{tmp_path / 'jornada.db'}"
    await migrate(url)
    settings = load(database_url=url, log="sql", partitions=2)
    database = connect(url)
    log = open_log(settings, database)
    await log.ensure_topics(topic_specs(2))
    yield database, log
    await log.close()
    await database.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "shop.yaml"
    path.write_text(TEXT)
    return path


def _write(file: Path, text: str) -> None:
    file.write_text(text)


async def test_a_changed_file_is_refused_until_it_is_published(place: Place, file: Path) -> None:
    database, log = place
    await register(database, (str(file),), 1)
    _write(file, TEXT + "# changed\n")
    with pytest.raises(DefinitionDiffers) as caught:
        await register(database, (str(file),), 2)
    assert f"`jornada lifecycle publish {file} -m" in str(caught.value)
    await publish(database, log, load_definition(file), WHY)
    assert set(await register(database, (str(file),), 3)) == {("ecommerce", 2)}


async def test_the_file_of_an_earlier_version_is_taken_and_changes_nothing(place: Place, file: Path) -> None:
    database, log = place
    await register(database, (str(file),), 1)
    _write(file, TEXT + "# changed\n")
    await publish(database, log, load_definition(file), WHY)
    _write(file, TEXT)
    assert set(await register(database, (str(file),), 3)) == {("ecommerce", 2)}


async def test_rolling_back_makes_the_version_before_active_again(place: Place, file: Path) -> None:
    database, log = place
    await register(database, (str(file),), 1)
    _write(file, TEXT + "# changed\n")
    await publish(database, log, load_definition(file), WHY)
    published = await roll_back(database, log, "ecommerce", None, WHY)
    assert (published.publication.version, published.publication.number) == (1, 3)
    assert set(await register(database, (str(file),), 3)) == {("ecommerce", 1)}


async def test_publishing_the_active_file_again_only_announces_it_again(place: Place, file: Path) -> None:
    database, log = place
    await register(database, (str(file),), 1)
    _write(file, TEXT + "# changed\n")
    first = await publish(database, log, load_definition(file), WHY)
    again = await publish(database, log, load_definition(file), WHY)
    assert (first.new, again.new) == (True, False)
    assert first.publication == again.publication


async def test_a_stage_that_is_no_more_must_say_where_its_customers_go(place: Place, file: Path) -> None:
    database, log = place
    await register(database, (str(file),), 1)
    renamed = TEXT.replace("won_back", "regained")
    _write(file, renamed)
    with pytest.raises(Permanent, match=r"migrate: \{won_back: <stage>\}"):
        await publish(database, log, load_definition(file), WHY)
    _write(file, renamed + "\nmigrate: {won_back: regained}\n")
    assert (await publish(database, log, load_definition(file), WHY)).publication.migrate == {"won_back": "regained"}


async def test_a_lifecycle_that_no_engine_has_registered_is_refused(place: Place, file: Path) -> None:
    database, log = place
    with pytest.raises(Permanent, match="JORNADA_LIFECYCLES"):
        await publish(database, log, load_definition(file), WHY)
