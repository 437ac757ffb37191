"""What holds for every command: help with an example, exit codes, completion, servers that cannot start."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from injector import __version__
from injector.cli.main import app
from injector.runtime.errors import StartupError
from tests.cli.conftest import Run

COMMANDS = [
    ["install"], ["check"], ["enable"], ["disable"], ["explain"], ["explain", "pod"], ["explain", "namespace"],
    ["inject"], ["uninject"], ["uninstall"], ["webhook"], ["controller"], ["discovery"], ["version"],
    ["identity", "roots"], ["identity", "rotate"], ["identity", "pod"], ["identity", "serve"],
]  # fmt: skip


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")


def test_the_list_of_commands_is_whole() -> None:
    names = {command.name for command in app.registered_commands} | {group.name for group in app.registered_groups}
    assert names == {command[0] for command in COMMANDS}


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_has_an_example_and_says_something_of_every_option(run: Run, command: list[str]) -> None:
    result = run(*command, "--help")
    assert result.code == 0
    assert re.search(rf"\$ .*injector {command[0]}", result.out)
    assert run(*command, "-h").out == result.out or command[0] == "explain"


def test_exit_codes_are_documented_and_so_is_every_command(run: Run) -> None:
    out = run("--help").out
    for code in ("0", "1", "2", "3", "64"):
        assert re.search(rf"^\s*{code}  \w", out, re.MULTILINE)
    for command in COMMANDS:
        assert re.search(rf"│ {command[0]} ", out)


@pytest.mark.parametrize(
    "arguments", [["nope"], ["inject"], ["install", "--nope"], ["enable"], ["install", "--webhook-port", "0"]]
)
def test_wrong_usage_exits_2(run: Run, arguments: list[str]) -> None:
    result = run(*arguments)
    assert (result.code, result.out) == (2, "")
    assert "Usage" in result.err


def test_version(run: Run) -> None:
    assert run("version").out == f"injector {__version__}\n"
    assert json.loads(run("version", "-o", "json").out) == {"version": __version__}


def test_completion_can_be_installed(run: Run) -> None:
    assert "--install-completion" in run("--help").out


@pytest.mark.parametrize("part", ["webhook", "controller", "discovery"])
def test_a_server_gets_its_settings_and_says_why_it_cannot_start(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, part: str
) -> None:
    seen: list[Any] = []

    async def serve(config: Any) -> None:
        seen.append(config)
        raise StartupError("port 8080 is taken", "installation.proxyUid: expected …")

    monkeypatch.setattr(f"injector.{part}.serve.serve", serve)
    result = run(part, "--installation", str(tmp_path / "i.yaml"), "--admin-port", "9", "--log-format", "text")
    assert result.code == 64
    assert result.err.splitlines() == ["error: port 8080 is taken", "error: installation.proxyUid: expected …"]
    (config,) = seen
    assert (config.installation, config.admin_port, config.log_format) == (tmp_path / "i.yaml", 9, "text")


def test_log_levels_and_formats_are_those_that_the_servers_know() -> None:
    from injector.cli.servers import LogFormat, LogLevel
    from injector.runtime import logs

    assert {level.value for level in LogLevel} == set(logs.LEVELS)
    assert {form.value for form in LogFormat} == set(logs.FORMATS)


@pytest.mark.parametrize("part", ["webhook", "controller", "discovery"])
def test_a_server_s_defaults_are_the_manifests_(run: Run, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    """The arguments of the deployment say nothing that the defaults would not."""
    from injector.cli.manifests import find, load_manifests

    seen = []

    async def serve(config: object) -> None:
        seen.append(config)

    monkeypatch.setattr(f"injector.{part}.serve.serve", serve)
    container = find(load_manifests(), "Deployment", f"injector-{part}")["spec"]["template"]["spec"]["containers"][0]
    assert run(*container["args"]).code == 0
    assert run(part, "--installation", "/etc/injector/installation.yaml").code == 0
    assert seen[0] == seen[1]
