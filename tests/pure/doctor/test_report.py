"""The doctor's report: its exit code and table."""

from __future__ import annotations

from twinstack.doctor.report import Check, CheckState, DoctorReport

OK, WARN, FAIL, UNKNOWN = CheckState


def test_a_failure_outweighs_what_could_not_be_checked():
    unknown, fail = Check("a", UNKNOWN, ""), Check("b", FAIL, "")
    warn = Check("c", WARN, "")
    assert DoctorReport((unknown, fail)).exit_code == 1
    assert DoctorReport((unknown, warn)).exit_code == 2
    assert DoctorReport((warn,)).exit_code == 0
    assert DoctorReport(()).exit_code == 2


def test_the_table_shows_the_remedy_below_its_check():
    table = DoctorReport((Check("disk", FAIL, "0.1 GiB free", "invoke clean"),)).table()
    assert table.splitlines() == [
        "fail     disk  0.1 GiB free",
        "               → invoke clean",
        "1 fail",
    ]
