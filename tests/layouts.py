"""Folders in the true layouts of published corpora, with the dirt that is in them; tiny.

Ids, columns, names of folders and files are those of the releases; words are made up, and media
files hold no media. Tests get this module as the fixture ``layouts``.
"""

SIMS = (
    "video_id",
    "clip_id",
    "text",
    "label",
    "label_T",
    "label_A",
    "label_V",
    "annotation",
    "mode",
)
MELD = (
    "Sr No.", "Utterance", "Speaker", "Emotion", "Sentiment", "Dialogue_ID", "Utterance_ID",
    "Season", "Episode", "StartTime", "EndTime",
)  # fmt: skip
MELD_FOLDERS = {
    "train": "train_splits",
    "dev": "dev_splits_complete",
    "test": "output_repeated_splits_test",
}


def media(root, *names):
    """Files that are there, and no media."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"media")
    return root


def table(path, columns, rows, end="\n", start="", encoding="utf-8"):
    """A CSV; cells with commas are quoted."""
    lines = [columns, *rows]
    text = start + "".join(",".join(_cell(cell) for cell in line) + end for line in lines)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))


def _cell(cell):
    text = str(cell)
    return f'"{text}"' if "," in text or '"' in text else text


def ch_sims(root, lost=True):
    """CH-SIMS as a spreadsheet saves it: a byte order mark, Windows' line ends, no zeros."""
    names = ["0001", "0002", "0010"]
    rows = []
    for video in ("video_0001", "video_0059"):
        for i, name in enumerate(names):
            media(root, f"Raw/{video}/{name}.mp4")
            mode = ("train", "valid", "test")[i]
            clip = str(int(name)) if lost else name
            rows.append((video, clip, "我不知道。", 0.2, 0.2, -0.4, 0.0, "Positive", mode))
    table(root / "label.csv", SIMS, rows, end="\r\n", start="\ufeff")
    return root


def ch_sims_v2(root):
    """Both parts beside each other, as they are unpacked."""
    supervised, unsupervised = root / "ch-simsv2s", root / "ch-simsv2u"
    modes = {"aqgy3_0001": "train", "aqgy4_0002": "valid", "hndss_0003": "test"}
    rows = [(v, "00000", "好的", 0.6, 0.8, 0.4, 0.0, "Positive", m) for v, m in modes.items()]
    table(supervised / "meta(s).csv", SIMS, rows)
    media(supervised, *(f"Raw/{video}/00000.mp4" for video in modes))
    videos = [f"zjdyj_{k:04d}" for k in range(6)]
    clips = [(video, f"{k:05d}", "嗯") for video in videos for k in range(2)]
    table(unsupervised / "meta(u).csv", SIMS[:3], clips)
    media(unsupervised, *(f"Raw/{video}/{clip}.mp4" for video, clip, _ in clips))
    return root


def mosi(root, mode=True):
    """MOSI with one row twice, and one clip that is not there; ``mode`` False: no such column."""
    modes = {"03bSnISJMiM": "train", "_dI--eQ6qVU": "valid", "yDtzw_Y-7RU": "test"}
    rows = []
    for video, split in modes.items():
        for clip in (1, 2):
            rows.append((video, clip, "IT WAS GREAT", 2.4, "", "", "", "Positive", split))
            media(root, f"Raw/{video}/{clip}.mp4")
    (root / "Raw/yDtzw_Y-7RU/2.mp4").unlink()
    rows.append(rows[1])
    n = len(SIMS) if mode else len(SIMS) - 1
    table(root / "label.csv", SIMS[:n], [row[:n] for row in rows])
    return root


def mosei(root):
    """MOSEI, whose ids begin with dashes or are numbers; a spreadsheet has spoilt one of them."""
    rows = [
        ("-3g5yACwYnA", 10, "Key is part of it", 1.0, "", "", "", "Positive", "train"),
        ("125344", 0, "I see", 0.0, "", "", "", "Neutral", "val"),
        ("#NAME?", 3, "So?", -0.5, "", "", "", "Negative", "test"),
    ]
    table(root / "label.csv", SIMS, rows)
    return media(root, "Raw/-3g5yACwYnA/10.mp4", "Raw/125344/0.mp4", "Raw/-55DRRMTppE/3.mp4")


def meld(root, nested=False):
    """MELD: Windows' quotes in both of their forms, clips missing, broken and left over.

    ``nested``: the tables and folders lie in folders of the splits' names.
    """
    rows = {
        "train": [
            (1, "It\x92s me, Chan", "Chandler", "neutral", "neutral", 0, 0),
            (2, "Oh no!", "Joey", "Sadness ", "negative", 0, 1),
            (3, "\x93Really\x94", "Joey", "joy", "positive", 125, 3),
        ],
        "dev": [
            (1, "Did they tell you anything?", "Phoebe", "neutral", "neutral", 110, 7),
            (2, "Café", "Phoebe", "surprise", "positive", 0, 0),
        ],
        "test": [
            (1, "Why do all you\x92re coffee mugs have numbers", "Mark", "fear", "negative", 0, 0)
        ],
    }
    for split, own in rows.items():
        folder = root / split if nested else root
        times = (8, 21, "00:16:16,059", "00:16:21,731")
        table(folder / f"{split}_sent_emo.csv", MELD, [(*row, *times) for row in own])
        for *_, dialogue, turn in own:
            if (dialogue, turn) != (110, 7):
                media(folder / MELD_FOLDERS[split], f"dia{dialogue}_utt{turn}.mp4")
    where = root / "test" if nested else root
    media(where / MELD_FOLDERS["test"], "final_videos_testdia101_utt0.mp4", "._dia0_utt0.mp4")
    dev = (root / "dev" if nested else root) / "dev_sent_emo.csv"
    dev.write_bytes(
        dev.read_bytes() + "3,It’s,Joey,anger,negative,0,1".encode("cp1252") + b",,,,\n"
    )
    return root


#: Of each turn of IEMOCAP's made-up dialogues: start, end, name, emotion, dimensions, words.
TURNS = (
    (6.2901, 8.2357, "F000", "neu", "2.5000, 2.5000, 2.5000", "Excuse me."),
    (10.01, 11.3925, "M000", "xxx", "2.5000, 3.0000, 2.5000", "Do you have your forms?"),
    (10.9266, 13.5875, "F001", "fru", "2.0000, 3.5000, 3.5000", "Yeah."),
    (14.8872, 18.0175, "M001", "oth", "1.5000, 5.5000, 0.5000", "Is there a problem?"),
)


def iemocap(root):
    """IEMOCAP: a dialogue a session, one with sound alone, one without; other systems' leavings."""
    for k in range(1, 6):
        name = f"Ses{k:02d}{'FM'[k % 2]}_impro0{k}"
        dialog = root / f"Session{k}" / "dialog"
        lines = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""]
        said = []
        for start, end, turn, emotion, values, words in TURNS:
            lines.append(f"[{start:.4f} - {end:.4f}]\t{name}_{turn}\t{emotion}\t[{values}]")
            lines += ["C-E2:\tNeutral;\t()", "A-E3:\tval 3; act 2; dom  2;\t()", ""]
            said.append(f"{name}_{turn} [{start:08.4f}-{end:08.4f}]: {words}")
        said.append(f"{name}_MXX0 [019.0000-019.5000]: [LAUGHTER]")
        for folder, content in (("EmoEvaluation", lines), ("transcriptions", said)):
            (dialog / folder).mkdir(parents=True)
            (dialog / folder / f"{name}.txt").write_text("\n".join(content) + "\n")
            (dialog / folder / f"._{name}.txt").write_bytes(b"\0\5\x16\7\0\2")
        (dialog / "EmoEvaluation" / "Categorical").mkdir()
        media(dialog, *(f"avi/DivX/{name}.avi",) * (k < 4), *(f"wav/{name}.wav",) * (k < 5))
    return root
