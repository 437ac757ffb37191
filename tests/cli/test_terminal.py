"""Hostile text never reaches a terminal raw, and colour only reaches a terminal."""

import os
import pty
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from injector.cli.terminal import clean, one_line

HOSTILE = "\x1b]0;owned\x07\x1b[31mred\x9b31m\u202egnp.exe\u2066\u2028\x7f\ud800"


@given(st.text())
def test_clean_leaves_nothing_that_a_terminal_obeys(text: str) -> None:
    controls = {character for character in clean(text) if unicodedata.category(character) in {"Cc", "Cf", "Cs"}}
    assert controls <= {"\n", "\t"}


def test_clean_writes_escapes_and_leaves_the_rest() -> None:
    assert clean("a\x1b[1mß→\n") == "a\\x1b[1mß→\n"
    assert clean("\u202e") == "\\u202e"
    assert one_line("a\nb\tc") == "a\\nb c"
    assert clean(HOSTILE).isprintable()


def in_terminal(arguments: list[str], environment: dict[str, str]) -> bytes:
    """What a command writes when its output is a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", "from injector.cli.main import main; main()", *arguments],
        stdout=theirs,
        stderr=theirs,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "TERM": "xterm-256color", **environment},
    )
    os.close(theirs)
    written = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        written += piece
    process.wait(timeout=30)
    os.close(ours)
    return written


@pytest.fixture
def hostile_file(tmp_path: Path) -> Path:
    path = tmp_path / "hostile.yaml"
    path.write_text(
        'apiVersion: v1\nkind: Pod\nmetadata: {name: "a\\e]0;owned\\a\\u202eb"}\n'
        'spec:\n  containers: [{name: "c\\e[31m", image: x, ports: [{containerPort: 4143}]}]\n'
    )
    return path


@pytest.mark.parametrize("arguments", [[], ["--dry-run"], ["-o", "json"]])
def test_no_escape_of_an_object_reaches_the_terminal(hostile_file: Path, arguments: list[str]) -> None:
    written = in_terminal(["inject", *arguments, str(hostile_file)], {})
    assert b"]0;owned" in written
    assert b"\x1b]0;" not in written
    assert b"\x1b[31mcontainer" not in written
    assert "\u202e".encode() not in written


def test_colour_is_for_terminals_and_no_color_is_respected(tmp_path: Path) -> None:
    path = tmp_path / "pod.yaml"
    path.write_text("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: c, image: x}]}\n")
    assert b"\x1b[32m" in in_terminal(["inject", "--dry-run", str(path)], {"NO_COLOR": ""})
    assert b"\x1b[32m" not in in_terminal(["inject", "--dry-run", str(path)], {"NO_COLOR": "1"})
    piped = subprocess.run(
        [sys.executable, "-c", "from injector.cli.main import main; main()", "inject", "--dry-run", str(path)],
        capture_output=True,
        check=True,
    )
    assert b"\x1b" not in piped.stdout + piped.stderr
