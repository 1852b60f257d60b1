"""What is advised when a registered lifecycle's file has changed can be done with this version."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrations.running import migrate
from services.stage_engine.definitions.definition import SHIPPED
from services.stage_engine.definitions.registering import DefinitionDiffers, register
from shared.db.connect import connect


async def test_a_changed_file_is_refused_and_under_a_new_name_it_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "care.yaml"
    text = (SHIPPED / "customer_care.yaml").read_text()
    url = f"sqlite+aiosqlite:///{tmp_path / 'jornada.db'}"
    await migrate(url)
    database = connect(url)
    try:
        file.write_text(text)
        await register(database, (str(file),), 1)
        file.write_text(text + "# changed\n")
        with pytest.raises(DefinitionDiffers) as caught:
            await register(database, (str(file),), 2)
        assert "lifecycle publish" not in str(caught.value)
        assert "Restore the file" in str(caught.value)
        assert "`lifecycle: customer_care_2`" in str(caught.value)
        file.write_text(text.replace("lifecycle: customer_care", "lifecycle: customer_care_2") + "# changed\n")
        assert set(await register(database, (str(file),), 3)) == {("customer_care_2", 1)}
    finally:
        await database.close()
