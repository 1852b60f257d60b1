"""The Dockerfile and the compose file are consistent with the repository, as far as that shows without Docker."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from ruamel.yaml import YAML

from shared.settings import PREFIX, Settings, load

PROJECT_ROOT = Path(__file__).parents[2]
DOCKERFILE = PROJECT_ROOT / "deploy" / "Dockerfile"
COMPOSE_FILE = PROJECT_ROOT / "deploy" / "compose.yaml"

JORNADA_COMMANDS = {"up", "ingest", "engine", "notifier", "migrate", "topics create"}
LONG_RUNNING = {"ingest": "8001", "engine": "8002", "notifier": "8003"}
INSTRUCTIONS = {
    *("FROM", "RUN", "CMD", "LABEL", "EXPOSE", "ENV", "ADD", "COPY", "ENTRYPOINT", "VOLUME", "USER", "WORKDIR"),
    *("ARG", "ONBUILD", "STOPSIGNAL", "HEALTHCHECK", "SHELL"),
}


@dataclass(frozen=True)
class Instruction:
    """One instruction of a Dockerfile, continuation lines joined."""

    name: str
    text: str


def _instructions(text: str) -> list[Instruction]:
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [Instruction(*line.split(maxsplit=1)) for line in joined.splitlines()]


def _stages(instructions: list[Instruction]) -> list[list[Instruction]]:
    stages: list[list[Instruction]] = []
    for instruction in instructions:
        if instruction.name == "FROM":
            stages.append([])
        stages[-1].append(instruction)
    return stages


@pytest.fixture(scope="module")
def dockerfile() -> list[Instruction]:
    return _instructions(DOCKERFILE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    loaded = YAML(typ="safe").load(COMPOSE_FILE)
    assert set(loaded["volumes"]) == {"kafka-data", "postgres-data"}
    return dict(loaded["services"])


def _in_force(service: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings that a service of the compose file gets on a machine that sets nothing itself."""
    for name in [name for name in os.environ if name.upper().startswith(PREFIX)]:
        monkeypatch.delenv(name)
    for name, value in service["environment"].items():
        assert isinstance(value, str), f"{name} must be text"
        monkeypatch.setenv(name, re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value))
    return load()


def test_dockerfile_has_only_known_instructions(dockerfile: list[Instruction]) -> None:
    assert {instruction.name for instruction in dockerfile} <= INSTRUCTIONS
    assert dockerfile[0].name == "FROM"


def test_everything_copied_exists_and_is_sent_to_the_builder(dockerfile: list[Instruction]) -> None:
    ignore = (PROJECT_ROOT / "deploy" / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    sent = {line[1:] for line in ignore if line.startswith("!")}
    sources = [
        source
        for instruction in dockerfile
        if instruction.name == "COPY" and "--from=" not in instruction.text
        for source in instruction.text.split()[:-1]
    ]
    assert sources
    assert {source for source in sources if not (PROJECT_ROOT / source).exists()} == set()
    assert set(sources) <= sent


def test_stages_copied_from_exist(dockerfile: list[Instruction]) -> None:
    names = {match[1] for each in dockerfile if (match := re.search(r" AS (\S+)$", each.text))}
    used = {match[1] for each in dockerfile if (match := re.search(r"--from=(\S+)", each.text))}
    assert used
    assert used <= names


def test_image_runs_as_an_ordinary_user_and_reports_its_health(dockerfile: list[Instruction]) -> None:
    final = _stages(dockerfile)[-1]
    users = [instruction.text for instruction in final if instruction.name == "USER"]
    assert users
    assert users[-1] not in {"0", "root"}
    last_user = max(index for index, each in enumerate(final) if each.name == "USER")
    assert not any(each.name == "RUN" for each in final[last_user:])
    health = [each.text for each in final if each.name == "HEALTHCHECK"]
    assert len(health) == 1
    assert "/livez" in health[0]


def test_exec_forms_are_json(dockerfile: list[Instruction]) -> None:
    forms = [each.text for each in dockerfile if each.name in {"CMD", "ENTRYPOINT"}]
    forms += [each.text.split("CMD ", 1)[1] for each in dockerfile if each.name == "HEALTHCHECK"]
    for form in forms:
        assert all(isinstance(part, str) for part in json.loads(form))


def test_packages_are_installed_with_their_hashes(dockerfile: list[Instruction]) -> None:
    installs = [each.text for each in dockerfile if "pip install" in each.text]
    assert installs
    assert all("--require-hashes" in text for text in installs)


def test_every_service_has_a_pinned_image_or_a_build_that_exists(services: dict[str, Any]) -> None:
    for service in services.values():
        if "build" in service:
            context = (COMPOSE_FILE.parent / service["build"]["context"]).resolve()
            assert context == PROJECT_ROOT
            assert (context / service["build"]["dockerfile"]).is_file()
        else:
            assert not fnmatch(service["image"], "*:latest")
            assert ":" in service["image"]


def test_dependencies_exist_and_can_meet_their_condition(services: dict[str, Any]) -> None:
    for name, service in services.items():
        for needed, how in service.get("depends_on", {}).items():
            assert needed in services, f"{name} depends on {needed}"
            if how["condition"] == "service_healthy":
                assert "healthcheck" in services[needed], f"{name} waits for the health of {needed}"
            elif how["condition"] == "service_completed_successfully":
                assert services[needed]["command"][0] in {"migrate", "topics"}
            else:
                assert how["condition"] == "service_started"


def test_commands_are_those_of_jornada(services: dict[str, Any]) -> None:
    commands = {" ".join(service["command"]) for service in services.values() if "build" in service}
    assert commands == JORNADA_COMMANDS - {"up"}


def test_services_wait_for_schema_and_topics_and_listen_where_their_port_leads(services: dict[str, Any]) -> None:
    for name, port in LONG_RUNNING.items():
        service = services[name]
        assert {"kafka", "postgres", "migrate", "topics"} <= set(service["depends_on"])
        assert service["environment"]["JORNADA_HTTP_PORT"] == port
        assert [published.rsplit(":", 1)[1] for published in service["ports"]] == [port]


def test_settings_of_every_service_are_accepted_and_fit_the_compose_file(
    services: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, service in services.items():
        if "build" not in service:
            continue
        settings = _in_force(service, monkeypatch)
        assert settings.log == "kafka", name
        assert settings.kafka_bootstrap.partition(":")[0] in services
        assert urlsplit(settings.database_url).hostname in services
        assert (settings.delivery, settings.smtp_url) == ("live", "smtp://mailpit:1025")
        published = services["notifier"]["ports"][0].rsplit(":", 1)[0]
        assert settings.public_url == f"http://{published}"


def test_whatever_looks_at_the_schema_waits_until_it_is_there(services: dict[str, Any]) -> None:
    for name, service in services.items():
        if "build" in service and name != "migrate":
            assert service["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}, name


def test_image_keeps_its_data_in_a_volume_of_its_user_and_runs_everything_by_default(
    dockerfile: list[Instruction],
) -> None:
    final = _stages(dockerfile)[-1]
    (volumes,) = [json.loads(each.text) for each in final if each.name == "VOLUME"]
    (workdir,) = [each.text for each in final if each.name == "WORKDIR"]
    database = urlsplit(Settings.model_fields["database_url"].default).path.removeprefix("/")
    assert [str(Path(workdir, database).parent)] == volumes
    assert any(f"--owner=jornada {volumes[0]}" in each.text for each in final if each.name == "RUN")
    assert [json.loads(each.text) for each in final if each.name == "CMD"] == [["up"]]


def test_volumes_that_are_mounted_are_declared(services: dict[str, Any]) -> None:
    mounted = {volume.split(":")[0] for service in services.values() for volume in service.get("volumes", [])}
    assert mounted == {"kafka-data", "postgres-data"}
