"""What was tried is told whole: each step of each machine, and the versions of its programs."""

from __future__ import annotations

from pathlib import Path

from front.tried import OK, TriedMachine, TriedStep, line, read, sentence, text

HERE = TriedMachine(
    "engine",
    {"Docker": "20.10.24+dfsg1", "Debian": "12.11", "Python": "3.11.2"},
    (TriedStep("net.up", OK, 4.1), TriedStep("clean", OK, 5.0)),
)
NEXT = TriedMachine(
    "userland",
    {"Docker": "26.1.5+dfsg1", "Debian": "13.2", "nginx": "5:1.26.3-3+deb13u11"},
    (TriedStep("net.up", "web: is not up", 1.0),),
)


def test_what_is_written_is_read(tmp_path: Path):
    record = tmp_path / "tried"
    assert read(record) == ()
    record.write_text(line(HERE) + line(NEXT))
    assert read(record) == (HERE, NEXT)


def test_the_sentence_names_the_versions_without_debians_part_and_counts_what_held():
    told = "Docker 20.10.24 and 26.1.5, Debian 12.11 and 13.2: 2 of 3 steps as they should be."
    assert sentence((HERE, NEXT)) == told
    assert sentence((HERE,)).startswith("Docker 20.10.24, Debian 12.11: 2 of 2 steps")


def test_the_table_has_a_row_a_step_and_the_programs_of_each_machine():
    _, steps, programs = text((HERE, NEXT)).split("\n\n")
    assert steps.splitlines()[0].split() == ["what", "version", "step", "outcome", "s"]
    assert steps.splitlines()[3].split() == ["userland", "13.2", "net.up", "web:", "is", "not"] + [
        "up",
        "1.0",
    ]
    assert programs.splitlines()[0] == "program  engine 20.10.24+dfsg1  userland 13.2"
    assert {row.split()[0] for row in programs.splitlines()} >= {"Docker", "Debian", "nginx"}
