"""Every lesson: its own solution passes, each mistake in it names the part, and nothing is lost."""

from __future__ import annotations

import itertools
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from tests.support import course_days
from tests.support.course_inside import CourseDriver, course_driver
from tests.support.course_mutants import mutants
from tests.support.kernel_state import State, kernel_state, unlike
from tests.support.sandbox import INVOKE, Sandbox, differences, snapshot
from twinstack.course.days import LESSONS
from twinstack.course.lesson import the_lesson

pytestmark = [pytest.mark.kernel, pytest.mark.e2e]
Tell = Callable[[str], None]

#: Lessons with parts that are all made of commands on this host.
BY_HAND = [
    lesson.day
    for lesson in LESSONS
    if lesson.world == "net" and all(part.steps and not part.own for part in lesson.parts)
]
SAMPLE = 3
_TOLD = 25
#: What mutants make under names that are not the lesson's: the student's own to remove.
_REMOVE_MISNAMED = """
for link in br-elsewhere $(ip -o link | grep -oE 've-x[a-z-]+'); do ip link delete "$link"; done
for name in $(ls /run/netns | grep -e '-x$'); do ip netns delete "$name"; done
iptables -t mangle -F
""".replace("done\n", "done 2> /dev/null\n")


@pytest.fixture(scope="module")
def course(host: Sandbox) -> Iterator[CourseDriver]:
    with course_driver(host) as drive:
        yield drive


@pytest.fixture(scope="module")
def empty(host: Sandbox) -> dict[str, str]:
    """Give the host as it is before any lesson; a table stays once there was a rule in it."""
    for table, verb in itertools.product(("mangle", "filter"), ("-A", "-D")):
        host.run("iptables", "-t", table, verb, "FORWARD", "-j", "ACCEPT")
    return snapshot(host)


@pytest.mark.parametrize("day", BY_HAND)
def test_a_lesson_begins_empty_and_its_solution_completes_it(
    course: CourseDriver, empty: dict[str, str], day: int
):
    course_days.completed_by_its_solution(course, day)
    course.answer("stop")
    assert differences(empty, snapshot(course.host)) == []


@pytest.mark.timeout(0)
@pytest.mark.parametrize("day", BY_HAND)
def test_each_mistake_fails_and_names_its_part(
    course: CourseDriver, empty: dict[str, str], full: bool, tell: Tell, day: int
):
    solution = course.solution(day)
    course.answer("start", day)
    course.type([command for _, commands in solution for command in commands])
    whole = kernel_state(course.host)
    every = list(mutants(solution))
    tried = every if full else random.Random(day).sample(every, SAMPLE)
    counts: Counter[str] = Counter()
    for number, mutant in enumerate(tried, 1):
        if number % _TOLD == 0:
            tell(f"day {day}: at mutant {number} of {len(tried)}")
        course.host.run("sh", "-c", _REMOVE_MISNAMED)
        course.answer("start", day)
        course.type(list(mutant.commands))
        said = course.undone()
        if not said:  # nothing is missed: then nothing may be different
            course.host.run("sh", "-c", _REMOVE_MISNAMED)
            assert unlike(whole, kernel_state(course.host)) == [], mutant.what
            tell(f"day {day}: the same in the end: {mutant.what}")
            counts["equivalent"] += 1
        else:
            assert mutant.part in said, (mutant.what, said)
            counts["refused"] += 1
    course.answer("stop")
    tell(f"day {day}: {len(every)} mutants, {len(tried)} tried: {dict(counts)}")
    if full:
        assert counts["refused"] >= len(every) * 0.8


def _reference(host: Sandbox, day: int) -> State:
    """Give the kernel as `net.up` alone makes it for a lesson's plan."""
    lesson = the_lesson(LESSONS, day)
    policy = "--policy" if lesson.policy else "--no-policy"
    host.invoke("net.up", "--no-services", "--shape", lesson.shape, policy)
    state = kernel_state(host)
    host.invoke("net.down")
    return state


#: How far a student may be, as the share of the lesson's commands that he typed; or what he broke.
_STATES = (
    "0",
    "0.5",
    "1",
    "for name in $(ls /run/netns); do ip netns delete $name; done; ip link add br-app type veth",
    "ip link delete br-app; ip link delete br-frontend; ip link add ve-order type bridge",
    "for t in filter nat raw; do iptables -t $t -F; iptables -t $t -X; done",
    "sysctl -w net.ipv4.ip_forward=0; ip netns delete redis-cache; ip netns add redis-cache",
)


@pytest.mark.timeout(0)
@pytest.mark.parametrize("day", BY_HAND)
def test_catching_up_from_any_earlier_day_ends_as_up_does(
    course: CourseDriver, empty: dict[str, str], full: bool, day: int
):
    expected = _reference(course.host, day)
    every = [(earlier, state) for earlier in BY_HAND if earlier <= day for state in _STATES]
    for earlier, state in every if full else random.Random(day).sample(every, 2):
        course.answer("start", earlier)
        typed = course_days.typed(course, earlier)
        part = typed[: int(len(typed) * float(state))] if state[0].isdigit() else [state]
        course.type(part)
        course.answer("catchup", day)
        assert unlike(expected, kernel_state(course.host)) == [], (earlier, state)
        assert course.undone() == {}
    course.answer("stop")
    assert differences(empty, snapshot(course.host)) == []


@pytest.mark.timeout(0)
def test_killed_at_any_moment_stop_restores(
    course: CourseDriver, empty: dict[str, str], full: bool, tell: Tell
):
    chance = random.Random(16)
    killed: Counter[str] = Counter()
    for number in range(90 if full else 6):
        do, day = ("start", "catchup", "stop")[number % 3], chance.choice(BY_HAND)
        if do != "start":
            earlier = chance.choice([each for each in BY_HAND if each <= day])
            course.answer("start", earlier)
            course.type(course_days.typed(course, earlier)[:: chance.choice((1, 2))])
        arguments = () if do == "stop" else (day,)
        ended = course.order(do, *arguments, kill_after_s=chance.uniform(0.005, 0.3))
        killed[f"{do} {'killed' if ended.killed else 'ended'}"] += 1
        stopped = course.order("stop")
        assert not stopped.error or "no lesson is under way" in stopped.error
        assert differences(empty, snapshot(course.host)) == [], (do, day, ended)
    tell(f"{dict(killed)}")
    assert sum(count for what, count in killed.items() if what.endswith("killed")) > 1


def test_stop_brings_back_the_world_that_was_up(course: CourseDriver, empty: dict[str, str]):
    course.host.invoke("net.up", "--no-services", "--shape", "tiered")
    before = kernel_state(course.host)
    course.answer("start", 2)
    course.type(course_days.typed(course, 2)[:9])
    assert unlike(before, kernel_state(course.host)) != []
    course.answer("stop")
    assert unlike(before, kernel_state(course.host)) == []
    course.host.invoke("net.down")
    assert differences(empty, snapshot(course.host)) == []


def test_a_strangers_object_with_a_name_of_ours_is_named_and_kept(
    course: CourseDriver, empty: dict[str, str]
):
    for made, named in (
        ("ip link add ve-order type bridge", "ve-order"),
        ("ip netns add redis-cache", "redis-cache"),
        ("ip link add br-app type bridge", "br-app"),
    ):
        course.type([made])
        before = snapshot(course.host)
        refused = course.order("start", 1)
        assert named in refused.error
        assert "is not ours" in refused.error
        assert differences(before, snapshot(course.host)) == []
        course.type([made.replace("add", "delete").partition(" type")[0]])
    course.host.run("sh", "-c", "umount /run/netns; rmdir /run/netns")  # of `ip netns add`
    assert differences(empty, snapshot(course.host)) == []


def test_another_instances_world_that_came_meanwhile_is_left_alone(
    course: CourseDriver, empty: dict[str, str]
):
    host, other = course.host, ("env", "TWINSTACK_INSTANCE=other", INVOKE)
    course.answer("start", 2)
    host.invoke("net.down")
    host.run(*other, "net.up", "--no-services")
    theirs = kernel_state(host)
    course.answer("stop")
    assert unlike(theirs, kernel_state(host)) == []
    host.run(*other, "net.down")
    assert differences(empty, snapshot(host)) == []


def test_what_has_no_name_of_ours_stays_the_students(course: CourseDriver, empty: dict[str, str]):
    course.answer("start", 1)
    own = ["ip link add mine type bridge", "iptables -A INPUT -s 192.0.2.1 -j ACCEPT"]
    course.type([*own, *course_days.typed(course, 1)])
    course.answer("catchup", 2)
    course.answer("stop")
    left = differences(empty, snapshot(course.host))
    assert any(line.startswith("+ links: mine") for line in left)
    assert any("192.0.2.1" in line for line in left)
    assert not [line for line in left if "br-" in line or "TS-" in line or "ve-" in line]
    course.type(["ip link delete mine", "iptables -D INPUT -s 192.0.2.1 -j ACCEPT"])


#: What `drill.start` records before it acts.
_DRILL = """
from twinstack.faults import drill_record
from twinstack.faults.drill_record import Underway
drill_record.write(INSTANCE, Underway("no-address", "net", "flat", "", 1, "", 1.0, phase="there"))
"""


def test_a_lesson_neither_begins_nor_ends_in_a_world_with_a_drill(
    course: CourseDriver, empty: dict[str, str]
):
    host, words = course.host, (sys.executable, "-c")
    drill = _DRILL.replace("INSTANCE", repr(host.instance))
    host.invoke("net.up", "--no-services")
    host.run(*words, drill)
    for do, day in (("start", 1), ("catchup", 2)):
        refused = course.order(do, day).error
        assert f"course.{do}: is refused: a drill is under way" in refused
        assert "no lesson is under way" in course.order("check").error
    host.run("rm", f"/run/twinstack/{host.instance}/drill.json")
    course.answer("catchup", 1)
    before = kernel_state(host)
    host.run(*words, drill)
    assert "a drill is under way" in course.order("stop").error
    assert unlike(before, kernel_state(host)) == []  # not even what makes way for the world
    host.run("rm", f"/run/twinstack/{host.instance}/drill.json")
    course.answer("stop")
    host.invoke("net.down")
    assert differences(empty, snapshot(host)) == []


def test_a_start_that_did_not_end_is_no_complete_lesson(
    course: CourseDriver, empty: dict[str, str]
):
    record = f"/run/twinstack/{course.host.instance}/course.json"
    course.answer("start", 1)
    course.answer("catchup", 1)
    course.type([f"""sed -i 's/"started": [0-9.]*/"started": 0.0/' {record}"""])
    refused = course.order("check").error
    assert "the start of lesson 1 did not end" in refused
    assert 'run "invoke course.start 1" again' in refused
    course.answer("start", 1)
    assert len(course.undone()) == 4
    course.answer("stop")
    assert differences(empty, snapshot(course.host)) == []


def test_bad_input_is_refused_in_clear_words(course: CourseDriver, empty: dict[str, str]):
    assert "no lesson is under way" in course.order("check").error
    assert "no lesson is under way" in course.order("stop").error
    assert "there are 1, 2" in course.order("start", 9).error
    assert differences(empty, snapshot(course.host)) == []
    course.answer("start", 1)
    assert "lesson 1 is under way and not complete" in course.order("start", 2).error
    assert 'invoke course.catchup 1" completes it' in course.order("start", 2).error
    course.type(["ip link delete br-app", "iptables -t nat -F"])
    said = course.undone()
    assert "br-app is absent" in said[""]
    assert "rules nat POSTROUTING misses" in said[""]
    own = ["ip link add br-mine up type bridge", "ip address add 10.0.0.1/24 dev br-mine"]
    course.type(own)
    refused = course.order("catchup", 1).error
    assert "br-mine" in refused
    assert "if you made it, remove it" in refused
    course.type(["ip link delete br-mine"])
    course.answer("catchup", 1)
    assert course.undone() == {}
    course.answer("start", 2)  # what is complete need not be stopped
    course.host.invoke("clean")  # ends a lesson, too
    assert differences(empty, snapshot(course.host)) == []
