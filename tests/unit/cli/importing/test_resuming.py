"""Where an import goes on: at its own place, and never at that of another one."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from services.cli.importing.ordering import BEGINNING
from services.cli.importing.resuming import Import, State, StateFile, begun, resumed
from shared.errors import Permanent

THIS = Import("file", "mapping", "utf-8", "http://ingest")
BEGUN = State(THIS, "jrn_1", (7, 5, 2, 0), posted=3, refused=1)


def test_an_import_that_was_stopped_goes_on_where_it_was(tmp_path: Path) -> None:
    kept = StateFile(tmp_path / "orders.csv")
    assert kept.load() is None
    kept.save(BEGUN)
    assert resumed(kept.load(), THIS, "jrn_1") == BEGUN
    assert {each.name for each in tmp_path.iterdir()} == {"orders.csv.import-state.json"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("file", "the file changed"),
        ("mapping", "the mapping changed"),
        ("text", "--delimiter changed"),
        ("url", "http://ingest"),
    ],
)
def test_another_import_is_never_begun_at_this_ones_place(name: str, words: str) -> None:
    other = msgspec.structs.replace(THIS, **{name: "other"})
    with pytest.raises(Permanent) as caught:
        resumed(BEGUN, other, "jrn_1")
    assert words in str(caught.value)
    assert "has posted 3 events" in str(caught.value)
    assert "--restart begins anew" in str(caught.value)


def test_an_import_that_nothing_has_answered_binds_nobody() -> None:
    refused = State(THIS, "jrn_wrong")
    other = msgspec.structs.replace(THIS, url="http://elsewhere", mapping="other")
    assert resumed(refused, other, "jrn_2") == State(other, "jrn_2")
    assert not begun(refused)


def test_after_a_finished_import_another_one_begins_at_its_beginning() -> None:
    finished = msgspec.structs.replace(BEGUN, finished_at="2026-11-22T14:00:00.000Z")
    other = msgspec.structs.replace(THIS, file="other")
    assert resumed(finished, other, "jrn_2") == State(other, "jrn_2")
    assert resumed(finished, THIS, "jrn_1").finished_at == "2026-11-22T14:00:00.000Z"
    assert resumed(None, THIS, "jrn_1").place == BEGINNING


@pytest.mark.parametrize("content", [b"", b"{", b'{"of": 1}', b"\xff"])
def test_a_state_that_can_not_be_read_is_refused_with_advice(tmp_path: Path, content: bytes) -> None:
    kept = StateFile(tmp_path / "orders.csv")
    kept.path.write_bytes(content)
    with pytest.raises(Permanent, match="--restart"):
        kept.load()
