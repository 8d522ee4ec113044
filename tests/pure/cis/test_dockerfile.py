"""A Dockerfile is read as Docker reads it."""

from __future__ import annotations

import pytest

from twinstack.cis.dockerfile import commands, parse
from twinstack.errors import CannotTell

HERE_DOCUMENT = """\
# escape=`
ARG A=x
FROM ${A}:${B:-1} AS one
RUN first `
    # a remark
    && second

COPY --from=zero --chmod=0644 <<EOF /x
FROM nothing
EOF
FROM --platform=linux/arm64 one
run ["a", "b c"]
ONBUILD USER 5:5
"""


def test_a_dockerfile_is_read_as_docker_reads_it():
    build = parse(HERE_DOCUMENT, "x")
    assert [(stage.base, stage.name, stage.line) for stage in build.stages] == [
        ("x:1", "one", 3),
        ("one", "", 11),
    ]
    assert [(instruction.keyword, instruction.line) for instruction in build.shipped()] == [
        ("RUN", 4),
        ("COPY", 8),
        ("RUN", 12),
        ("USER", 13),
    ]
    first, copy, second, _ = build.shipped()
    assert first.text.split() == ["first", "&&", "second"]
    assert (copy.flag("from"), copy.flag("chmod"), copy.flag("none")) == ("zero", "0644", None)
    assert second.words == ("a", "b c")
    assert build.shipped("one") == (first, copy)


def test_a_stage_that_stands_on_its_own_name_ends():
    assert parse("FROM a AS a\nRUN x\nFROM a\n", "x").shipped()[0].text == "x"


@pytest.mark.parametrize("text", ["", "RUN x", "FROM", "FROM a b", "FROM a\nRUNN x", "FROM a is b"])
def test_what_is_no_dockerfile_is_not_judged(text: str):
    with pytest.raises(CannotTell):
        parse(text, "x")


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("a b && c; d | e", [["a", "b"], ["c"], ["d"], ["e"]]),
        ("sh -c 'x y'", [["sh", "-c", "x y"], ["x", "y"]]),
        ('echo "$(a b)"', [["echo", "(a b)"], ["a", "b"]]),
        ("if [ a ]; then b\nfi", [["if", "[", "a", "]"], ["then", "b"], ["fi"]]),
        ("never 'ends", [["never", "'ends"]]),
    ],
)
def test_a_script_is_split_into_its_commands(script: str, found: list[list[str]]):
    assert list(commands(script)) == found
