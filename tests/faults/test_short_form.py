"""The short form of `make faults`: real servers, processes killed under load, and everything still adds up."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.faults.mutations import MUTATIONS, Mutation, mutated
from tests.faults.run import run
from tests.faults.scenarios import SHORT

_ROOT = Path(__file__).resolve().parents[2]


async def test_kills_under_load_lose_nothing_and_do_nothing_twice(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(1_000_000)
    result = await run(SHORT, tmp_path / "run", seed)
    assert not result.violations, f"python -m tests.faults --short --seed {seed}\n" + "\n".join(result.violations)
    assert result.journal.deeds.total() == SHORT.trouble.kills + len(SHORT.trouble.others)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.guard)
def test_mutations_follow_the_code(mutation: Mutation) -> None:
    """`python -m tests.faults --mutate` takes minutes; that each of its guards is still where it says costs nothing."""
    source = (_ROOT / mutation.file).read_text()
    compile(mutated(source, mutation), mutation.file, "exec")
