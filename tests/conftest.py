"""Small media made on the spot, so that no test depends on a file from elsewhere."""

import atexit
import importlib.util
import json
import os
import pickle
import shutil
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from affectflow.cache.index import cache_folder

# Tests have folders of their own as home; what numba compiles is made once for all of them.
os.environ.setdefault("NUMBA_CACHE_DIR", str(cache_folder() / "numba"))

HUBERT = {
    "model_type": "hubert",
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "conv_kernel": [10, 3, 3, 3, 3, 2, 2],
    "conv_stride": [5, 2, 2, 2, 2, 2, 2],
}
#: Models of the hub that shipped recipes name: what is read of their configurations to check a
#: recipe. No weights, and no test asks the hub for any.
HUB = {
    "bert-base-uncased": {"model_type": "bert", "hidden_size": 768, "num_hidden_layers": 12},
    "bert-base-chinese": {"model_type": "bert", "hidden_size": 768, "num_hidden_layers": 12},
    "microsoft/deberta-base": {
        "model_type": "deberta",
        "hidden_size": 768,
        "num_hidden_layers": 12,
    },
    "YituTech/conv-bert-base": {
        "model_type": "convbert",
        "hidden_size": 768,
        "num_hidden_layers": 12,
    },
    "bert-large-uncased": {"model_type": "bert", "hidden_size": 1024, "num_hidden_layers": 24},
    "xlnet-base-cased": {"model_type": "xlnet", "d_model": 768, "n_layer": 12},
    "TencentGameMate/chinese-hubert-base": HUBERT,
    "facebook/hubert-base-ls960": HUBERT,
}


def snapshot_in(cache, name, commit):
    """Folder in a cache of the hub for what was fetched of a model; made."""
    repository = cache / f"models--{name.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    snapshot = repository / "snapshots" / commit
    snapshot.mkdir(parents=True)
    return snapshot


def hub_cache(folder):
    """Lay out a cache of the hub as if these configurations had been fetched."""
    for name, config in HUB.items():
        snapshot = snapshot_in(folder, name, f"{1:040x}")
        (snapshot / "config.json").write_text(json.dumps(config))
        if config is HUBERT:
            sound = {"feature_extractor_type": "Wav2Vec2FeatureExtractor", "sampling_rate": 16000}
            (snapshot / "preprocessor_config.json").write_text(json.dumps(sound))
    return folder


os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_CACHE"] = str(hub_cache(Path(tempfile.mkdtemp())))
atexit.register(shutil.rmtree, os.environ["HF_HUB_CACHE"], ignore_errors=True)

#: What `clip_path` and `tone_wav` hold; tests that need the numbers ask `clip_facts`.
FACTS = {"seconds": 2.0, "fps": 25, "size": (160, 120), "audio_rate": 44100, "tone": 440.0}


def sine(frequency, seconds, rate, amplitude=0.5):
    """A sine, (n_samples,) float32."""
    times = np.arange(round(seconds * rate)) / rate
    return (amplitude * np.sin(2 * np.pi * frequency * times)).astype(np.float32)


def moving_square(index, size=(160, 120)):
    """Picture ``index``: a white square of 24 pixels moves 2 pixels right a frame, on dark blue."""
    width, height = size
    image = np.full((height, width, 3), (16, 24, 64), np.uint8)
    left = (2 * index) % max(1, width - 24)
    image[height // 3 : height // 3 + 24, left : left + 24] = 255
    return image


def write_clip(
    path,
    *,
    pictures=None,
    sound=None,
    times=None,
    fps=25,
    audio_rate=44100,
    audio_start=0.0,
    video_codec="libx264",
    audio_codec="aac",
    pix_fmt="yuv420p",
    gop=10,
    b_frames=2,
    rotation=None,
    options=None,
):
    """Write pictures (a list of (H, W, 3) uint8) and sound ((n,) or (channels, n)) to a file.

    ``times`` are the pictures' presentation times in seconds (default: k / fps), ``audio_start``
    that of the first sample; ``options`` are the container's.
    """
    with av.open(str(path), "w", options=options or {}) as out:
        if pictures is not None:
            video = _video_stream(out, pictures[0], fps, video_codec, pix_fmt, gop, b_frames)
        if sound is not None:
            sound = np.atleast_2d(np.asarray(sound, np.float32))
            layout = {1: "mono", 2: "stereo"}[len(sound)]
            audio = out.add_stream(audio_codec, rate=audio_rate, layout=layout)
        if pictures is not None:
            shown = [k / fps for k in range(len(pictures))] if times is None else times
            for picture, time in zip(pictures, shown, strict=True):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
                frame.pts, frame.time_base = round(time * 90000), Fraction(1, 90000)
                out.mux(video.encode(frame))
            out.mux(video.encode(None))
        if sound is not None:
            _write_sound(out, audio, sound, audio_rate, audio_start)
    if rotation is not None:
        _rotate(Path(path), rotation)
    return Path(path)


def _video_stream(out, picture, fps, codec, pix_fmt, gop, b_frames):
    stream = out.add_stream(codec, rate=fps)
    stream.height, stream.width = picture.shape[:2]
    stream.pix_fmt = pix_fmt
    # MPEG codecs take only few time bases; the others get one that holds uneven times.
    tick = Fraction(1, fps) if codec.startswith("mpeg") else Fraction(1, 90000)
    stream.time_base = stream.codec_context.time_base = tick
    stream.codec_context.gop_size = gop
    stream.codec_context.max_b_frames = b_frames
    if codec == "libx264":
        stream.options = {"crf": "10", "preset": "veryfast", "threads": "1"}
    return stream


def _write_sound(out, stream, sound, rate, start):
    layout = {1: "mono", 2: "stereo"}[len(sound)]
    convert = av.AudioResampler(stream.format.name, layout, rate, stream.frame_size or 1024)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound), "fltp", layout)
    frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
    frame.pts = round(start * rate)
    for piece in [*convert.resample(frame), *convert.resample(None)]:
        out.mux(stream.encode(piece))
    out.mux(stream.encode(None))


#: Display matrices as they lie in an mp4's track header: a, b, u, c, d, v, x, y, w.
MATRICES = {
    0: (1, 0, 0, 1),
    90: (0, 1, -1, 0),  # to be turned by 90 degrees clockwise for display
    180: (-1, 0, 0, -1),
    270: (0, -1, 1, 0),
    "mirror": (-1, 0, 0, 1),
    "upside down": (1, 0, 0, -1),
}


def _rotate(path, turn):
    """Put a display matrix into the track header of the first (video) track of an mp4."""
    data = bytearray(path.read_bytes())
    header = data.index(b"tkhd") + 4
    assert data[header] == 0, "version 0 track header"
    a, b, c, d = MATRICES[turn]
    one = 1 << 16
    values = (a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    data[header + 40 : header + 76] = b"".join(v.to_bytes(4, "big", signed=True) for v in values)
    path.write_bytes(bytes(data))


@pytest.fixture(scope="session")
def make_clip():
    """The function `write_clip`: pictures and sound to a media file."""
    return write_clip


@pytest.fixture
def fetched():
    """Put the files of a folder into the hub's cache, as if a model of that name was fetched."""
    cache = Path(os.environ["HF_HUB_CACHE"])
    names = []

    def put(folder, name, commit):
        names.append(name)
        shutil.copytree(folder, snapshot_in(cache, name, commit), dirs_exist_ok=True)

    yield put
    for name in names:
        shutil.rmtree(cache / f"models--{name.replace('/', '--')}")


@pytest.fixture(scope="session")
def clip_facts():
    """What `clip_path` holds: seconds, fps, size (width, height), audio_rate, tone in Hz."""
    return dict(FACTS)


@pytest.fixture(scope="session")
def clip_path(tmp_path_factory):
    """A clip of 2 s: 25 fps, 160x120 H.264 of a moving square, AAC 44.1 kHz of a 440 Hz tone."""
    path = tmp_path_factory.mktemp("media") / "clip.mp4"
    pictures = [moving_square(k, FACTS["size"]) for k in range(50)]
    sound = sine(FACTS["tone"], FACTS["seconds"], FACTS["audio_rate"])
    return write_clip(path, pictures=pictures, sound=sound)


@pytest.fixture(scope="session")
def tone_wav(tmp_path_factory):
    """2 s of a 440 Hz sine of amplitude 0.5, 16 bit mono wav at 44.1 kHz."""
    path = tmp_path_factory.mktemp("media") / "tone.wav"
    sound = sine(FACTS["tone"], FACTS["seconds"], FACTS["audio_rate"])
    return write_clip(path, sound=sound, audio_codec="pcm_s16le")


#: Letters of the tiny speech recognisers' vocabulary, in the order of wav2vec 2.0's.
LETTERS = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONIHSRDLUMWCFGYPBVK'XJQZ"]


@pytest.fixture(scope="session")
def ctc_folder(tmp_path_factory):
    """Folder of a tiny random CTC model of a kind (``wav2vec2``, ``wav2vec2-bert``), made once."""
    made = {}

    def make(kind="wav2vec2"):
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp(kind)
            _save_ctc(made[kind], kind)
        return made[kind]

    return make


def _save_ctc(folder, kind):
    import json

    import torch
    import transformers as tf

    vocabulary = folder / "vocab.json"
    vocabulary.write_text(json.dumps({letter: i for i, letter in enumerate(LETTERS)}))
    tf.Wav2Vec2CTCTokenizer(str(vocabulary)).save_pretrained(folder)
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    size |= {"intermediate_size": 16, "vocab_size": len(LETTERS), "pad_token_id": 0}
    torch.manual_seed(0)
    if kind == "wav2vec2":
        config = tf.Wav2Vec2Config(
            **size, conv_dim=(8,) * 7, num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2
        )
        sound, network = tf.Wav2Vec2FeatureExtractor(), tf.Wav2Vec2ForCTC(config)
    else:
        config = tf.Wav2Vec2BertConfig(**size, feature_projection_input_dim=160)
        sound, network = tf.SeamlessM4TFeatureExtractor(), tf.Wav2Vec2BertForCTC(config)
    sound.save_pretrained(folder)
    network.save_pretrained(folder)


@pytest.fixture(scope="session")
def whisper_folder(tmp_path_factory):
    """Folder of a tiny random Whisper that knows English and Chinese and writes a few words."""
    folder = tmp_path_factory.mktemp("whisper")
    _save_whisper(folder)
    return folder


def _whisper_tokenizer():
    """Byte-level BPE, then Whisper's marks in their order, then its marks of time."""
    import json

    import transformers as tf
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, trainers

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=360, initial_alphabet=alphabet, show_progress=False)
    bpe.train_from_iterator(["the film was not so good but we love 你 and 😀 it!"] * 5, trainer)
    model = json.loads(bpe.to_str())["model"]
    languages = ["en", "zh"]
    names = ["startoftranscript", *languages, "translate", "transcribe"]
    names += ["startoflm", "startofprev", "nospeech", "notimestamps"]
    tokenizer = tf.WhisperTokenizer(
        vocab=model["vocab"], merges=[tuple(pair) for pair in model["merges"]]
    )
    tokenizer.add_special_tokens({"pad_token": "<|endoftext|>"})
    for special, marks in ((True, names), (False, [f"{0.02 * i:.2f}" for i in range(1501)])):
        tokenizer.add_tokens(
            [AddedToken(f"<|{m}|>", special=special, normalized=False) for m in marks]
        )
    return tokenizer


def _save_whisper(folder):
    import torch
    import transformers as tf

    tokenizer = _whisper_tokenizer()
    number = {
        name: tokenizer.convert_tokens_to_ids(f"<|{name}|>")
        for name in ("endoftext", "startoftranscript", "en", "zh", "transcribe", "translate")
    }
    ends = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id"), number["endoftext"])
    start = number["startoftranscript"]
    size = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 2, "encoder_ffn_dim": 16}
    size |= {"decoder_ffn_dim": 16, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    config = tf.WhisperConfig(
        vocab_size=len(tokenizer), decoder_start_token_id=start, max_target_positions=64,
        begin_suppress_tokens=None, suppress_tokens=None, **size, **ends,
    )  # fmt: skip
    torch.manual_seed(3)
    network = tf.WhisperForConditionalGeneration(config)
    for parameter in network.parameters():
        if parameter.ndim > 1:
            parameter.data *= 8  # so that what is heard makes a difference
    texts = {token: tokenizer.decode([token]) for token in range(number["endoftext"])}
    words = {token for token, text in texts.items() if text[:1] == " " and text != " "}
    network.generation_config = tf.GenerationConfig(
        max_length=32,
        decoder_start_token_id=start,
        no_timestamps_token_id=tokenizer.convert_tokens_to_ids("<|notimestamps|>"),
        is_multilingual=True,
        lang_to_id={"<|en|>": number["en"], "<|zh|>": number["zh"]},
        task_to_id={task: number[task] for task in ("transcribe", "translate")},
        alignment_heads=[[0, 1], [1, 0]],
        suppress_tokens=sorted(set(range(number["endoftext"])) - words),
        begin_suppress_tokens=[],
        max_initial_timestamp_index=50,
        return_timestamps=False,
        **ends,
    )
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    tf.WhisperFeatureExtractor().save_pretrained(folder)


# --- a feature pickle as the frameworks of the field write it ------------------------------

#: Utterances of the splits of a feature pickle.
PICKLED = {"train": 12, "valid": 5, "test": 6}


def _padded(rng, n, longest, width, lengths, front=False):
    """(n, longest, width) float32 with zeros beyond each length."""
    values = rng.normal(size=(n, longest, width)).astype(np.float32)
    place = np.arange(longest)[::-1] if front else np.arange(longest)
    values[place[None] >= np.asarray(lengths)[:, None]] = 0
    return values


def _pickled_split(rng, name, n, aligned):
    lengths = {
        "text": rng.integers(2, 9, n),
        "audio": rng.integers(3, 15, n),
        "vision": rng.integers(3, 12, n),
    }
    lengths["text"][0], lengths["audio"][0], lengths["vision"][0] = 8, 14, 11
    if aligned:
        lengths = dict.fromkeys(lengths, lengths["text"])
    longest = {"text": 8, "audio": 8 if aligned else 14, "vision": 8 if aligned else 11}
    widths = {"text": 6, "audio": 5, "vision": 4}
    tokens = np.zeros((n, 3, 8))
    for i, length in enumerate(lengths["text"]):
        tokens[i, 0, :length] = rng.integers(100, 30_000, length)
        tokens[i, 1, :length] = 1
    data = {
        "raw_text": [f"sentence {i} of {name}, café" for i in range(n)],
        "id": [f"video{i // 3}_{name}$_${i}" for i in range(n)],
        **{m: _padded(rng, n, longest[m], widths[m], lengths[m]) for m in widths},
        "text_bert": tokens,
        "regression_labels": (rng.integers(-15, 16, n) / 5).astype(np.float32),
        "annotations": ["Positive"] * n,
        "classification_labels": np.zeros(n),
    }
    if not aligned:
        data |= {f"{m}_lengths": lengths[m].tolist() for m in ("audio", "vision")}
    return data, lengths


def community(aligned=False, seed=0):
    """The community's feature pickle as plain data, and its lengths by split and modality."""
    rng = np.random.default_rng(seed)
    made = {name: _pickled_split(rng, name, n, aligned) for name, n in PICKLED.items()}
    data = {name: part for name, (part, _) in made.items()}
    return data, {name: lengths for name, (_, lengths) in made.items()}


@pytest.fixture
def write_pickle(tmp_path):
    def write(data, name="unaligned_50.pkl", protocol=4):
        path = tmp_path / name
        path.write_bytes(pickle.dumps(data, protocol))
        return path

    return write


@pytest.fixture
def unaligned():
    return community()


@pytest.fixture
def aligned():
    return community(aligned=True)


# --- corpora as they are published --------------------------------------------------------


def _module(name):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def layouts():
    """The module ``layouts``: folders in the true layouts of corpora."""
    return _module("layouts")


@pytest.fixture(scope="session")
def text_models():
    """The module ``text_models``: tiny random text models with their tokenizers."""
    return _module("text_models")
