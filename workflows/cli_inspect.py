"""``affectflow inspect``: look at the faces of a clip, and the one taken for the speaker's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .cli_options import DEVICE, complete

SPEAKERS = ("mouth-motion", "active-speaker", "largest-face")


class ClipName(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4
    """Path of a media file; with ``--corpus``, the id of an utterance. Completes both."""

    name = "clip"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[Any]:
        from click.shell_completion import CompletionItem

        if ctx.params.get("corpus") is None:
            return [CompletionItem(incomplete, type="file")]
        return [CompletionItem(name) for name in _ids(ctx, param, incomplete)]


def _utterances(ctx: click.Context) -> tuple[str, ...]:
    from .corpora import CorpusSpec

    return CorpusSpec(str(ctx.params["corpus"])).open().ids


_ids = complete(_utterances)


@click.command()
@click.argument("clip", type=ClipName())
@click.option(
    "--corpus",
    is_eager=True,
    type=click.Path(path_type=Path),
    help="CLIP is an utterance of this corpus; its transcript is drawn.",
)
@click.option(
    "--speaker",
    type=click.Choice(SPEAKERS),
    help="Who tells which face speaks.  [default: active-speaker with --checkpoint, else "
    "mouth-motion]",
)
@click.option(
    "--checkpoint",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Weights of the active speaker network.",
)
@click.option("--text", default="", help="What is said in the clip.")
@click.option("--start", type=click.FloatRange(min=0), help="First second to look at.")
@click.option("--end", type=click.FloatRange(min=0), help="Second at which to stop.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A movie (.mp4) or a contact sheet (.png).  [default: CLIP-inspect.mp4, here]",
)
@DEVICE
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="NODE.KEY=VALUE",
    help="Change a setting of the recipe 'speaker': --set faces.min_size=20. Repeatable.",
)
def inspect(
    clip: str,
    corpus: Path | None,
    speaker: str | None,
    checkpoint: Path | None,
    text: str,
    start: float | None,
    end: float | None,
    out: Path | None,
    device: str,
    overrides: tuple[str, ...],
) -> None:
    """Draw the faces of CLIP, the one chosen as the speaker's, and its score over time.

    A box is a face that was found, its number the track, then the detector's probability; corners
    alone: not found there, but put between the pictures before and after. The chosen face
    has a white rim; beside the curve is the crop of it that networks see. The curve is the score
    of that face (thin: of others), over the loudness of the sound; the bar below says which face
    is chosen when. Sound is kept as the networks hear it, mono at 16 kHz.

    \b
      affectflow inspect clip.mp4
      affectflow inspect clip.mp4 --checkpoint lr_asd.model --out clip.png
      affectflow inspect video_0001/0003 --corpus MY_CORPUS --set faces.min_size=20
    """  # noqa: D301  # click reads the \b
    from .console import ConsoleReporter, show_note, visible
    from .inspection import look_at, speaker_overrides, utterance_of
    from .inspection_file import check_out, write_inspection

    by = speaker or ("mouth-motion" if checkpoint is None else "active-speaker")
    changes = speaker_overrides(by, checkpoint, overrides)
    utterance = utterance_of(clip, corpus, text, start, end)
    name = utterance.id.replace("/", "-")
    out = out or Path(f"{name}-inspect.mp4")
    check_out(out, utterance.media)
    with ConsoleReporter() as reporter:
        seen = look_at(utterance, by, changes, reporter, device)
        missing = write_inspection(seen, out)
    if missing:
        show_note(f"the font has no sign for {missing!r}; they are drawn as empty squares")
    click.echo(f"wrote {visible(str(out))}")
