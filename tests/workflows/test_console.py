"""What a terminal is shown of what strangers wrote, and of warnings."""

from affectflow.cache.runs import Warned
from affectflow.workflows import console
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
    console.show_warnings(Run("r", None, None, None, warnings=told))
    assert capsys.readouterr().err.splitlines() == [
        "7 warnings about features that were made all the same:",
        "  covarep: v/0, v/1, v/2 and 2 more: it clips",
        "  covarep: v/9: it has an offset",
        "  pitch: v/1: no F0",
    ]


def test_of_many_different_warnings_a_few_are_shown(capsys):
    told = [warned("covarep", f"v/{i}", f"offset {i}") for i in range(12)]
    console.show_warnings(Run("r", None, None, None, warnings=told))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 7
    assert lines[-1] == "  covarep: 7 other warnings, see the report"


def test_no_warnings_say_nothing(capsys):
    console.show_warnings(Run("r", None, None, None))
    assert capsys.readouterr().err == ""


def test_the_name_of_a_stage_is_escaped_too():
    with console.ConsoleReporter() as reporter:
        reporter.start("\x1b[2J", 3)
        assert reporter._bars.tasks[0].description == r"\x1b[2J"
