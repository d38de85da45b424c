"""What a terminal is shown of what strangers wrote, and of warnings."""

import time

from affectflow.cache.runs import Warned
from affectflow.workflows import console, console_run
from affectflow.workflows.result import Run

ESCAPES = "\x1b[2J\x1b]0;title\x07\r\x9b31m\u202eevil"


def warned(node, utterance, message):
    return Warned(utterance, node, "f" * 64, "00" * 16, message)


def test_what_a_terminal_would_obey_is_printed_escaped(capsys):
    console.OUT.print(ESCAPES)
    console.show_rows((ESCAPES,), [(ESCAPES,)])
    console.show_note(ESCAPES)
    console.show_error(ValueError(ESCAPES))
    said = "".join(capsys.readouterr())
    assert not set(said) & set("\x1b\x07\r\x9b\u202e")
    assert said.count(r"\x1b[2J\x1b]0;title\x07\r\x9b31m\u202eevil") == 5


def test_markup_and_emoji_of_strangers_are_text(capsys):
    console.OUT.print("[bold]a[/b] :bug:")
    console.show_rows(("id",), [("[/red] :bug:",)])
    said = capsys.readouterr().out
    assert "[bold]a[/b] :bug:" in said
    assert "[/red] :bug:" in said


def test_other_scripts_are_printed_as_they_are():
    assert console.visible("说得好\tweiß\nשלום") == "说得好\tweiß\nשלום"


def test_warnings_are_counted_and_grouped_by_node(capsys):
    told = [warned("covarep", f"v/{i}", "it clips") for i in range(5)]
    told += [warned("covarep", "v/9", "it has an offset"), warned("pitch", "v/1", "no F0")]
    console_run.show_warnings(Run("r", None, None, None, warnings=told))
    assert capsys.readouterr().err.splitlines() == [
        "7 warnings about features that were made all the same:",
        "  covarep: v/0, v/1, v/2 and 2 more: it clips",
        "  covarep: v/9: it has an offset",
        "  pitch: v/1: no F0",
    ]


def test_of_many_different_warnings_a_few_are_shown(capsys):
    told = [warned("covarep", f"v/{i}", f"offset {i}") for i in range(12)]
    console_run.show_warnings(Run("r", None, None, None, warnings=told))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 7
    assert lines[-1] == "  covarep: 7 other warnings, see the report"


def test_no_warnings_say_nothing(capsys):
    console_run.show_warnings(Run("r", None, None, None))
    assert capsys.readouterr().err == ""


def test_the_name_of_a_stage_is_escaped_too():
    with console.ConsoleReporter() as reporter:
        reporter.start("\x1b[2J", 3)
        assert reporter._bars.tasks[0].description == r"\x1b[2J"


def test_off_a_terminal_a_line_a_minute_says_what_moved_or_what_is_waited_for(capsys, monkeypatch):
    monkeypatch.setattr(console, "LINE_EVERY", 1e9)
    with console.ConsoleReporter() as reporter:
        reporter.start("audio", 9)
        reporter.start("sf", 1)
        reporter.advance("audio", 4, 1)
        reporter.working("sf", "epoch 3 of at most 20, best validation error 0.4")
        assert capsys.readouterr().err == ""  # no minute has passed
        reporter._last -= 2e9
        for _ in range(3):
            reporter.working("sf", "epoch 4 of at most 20, best validation error 0.3")
        told = "sf: 0 of 1, epoch 4 of at most 20, best validation error 0.3"
        assert capsys.readouterr().err == f"audio: 5 of 9, 1 failed; {told}\n"
        reporter._last -= 2e9
        reporter._moved.clear()
        reporter._line()
        waits = f"audio: 5 of 9, 1 failed; {told} (no news since the last line)\n"
        assert capsys.readouterr().err == waits
        reporter.advance("sf", 1)
        reporter.working("sf", "epoch 5")  # overtaken
        reporter._last -= 2e9
        reporter.advance("audio", 4)
        assert capsys.readouterr().err == "sf: 1 of 1; audio: 9 of 9, 1 failed\n"
        reporter._last -= 2e9
        reporter._moved.clear()
        reporter._line()
        assert capsys.readouterr().err == ""  # nothing is waited for


def test_the_line_comes_though_nothing_moves(capsys, monkeypatch):
    monkeypatch.setattr(console, "LINE_EVERY", 0.02)
    with console.ConsoleReporter() as reporter:
        reporter.start("sf", 1)
        until = time.monotonic() + 5
        while not (said := capsys.readouterr().err) and time.monotonic() < until:
            time.sleep(0.01)
    assert said.startswith("sf: 0 of 1 (no news since the last line)\n")
    assert not reporter._clock.is_alive()
