"""Files of strangers that name hosts or other files, by whatever name: opening one asks nobody."""

import contextlib
import socket

import av
import pytest

from affectflow.cache.errors import BadMedia
from affectflow.extract.media import probe, read_audio, read_pictures

READERS = {
    "probe": probe,
    "sound": lambda path: read_audio(path, 16000),
    "pictures": lambda path: list(read_pictures(path)),
}
HLS = (
    "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n{more}#EXTINF:2,\n{url}\n#EXT-X-ENDLIST\n"
)
#: What the file is -> its text. ``{url}`` is a clip on a host that would hear of it.
FILES = {
    "m3u8": HLS.replace("{more}", ""),
    "m3u8-with-a-key": HLS.replace("{more}", '#EXT-X-KEY:METHOD=AES-128,URI="{url}"\n'),
    "m3u8-of-playlists": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{url}.m3u8\n",
    "m3u8-after-a-mark": "\ufeff" + HLS.replace("{more}", ""),
    "ffconcat": "ffconcat version 1.0\nfile '{url}'\n",
    "ffconcat-of-files": "ffconcat version 1.0\nfile 'a.mp4'\nfile '{url}'\n",
    "sdp": "v=0\no=- 0 0 IN IP4 {host}\ns=x\nc=IN IP4 {host}\nt=0 0\nm=audio {port} RTP/AVP 0\n",
    "mpd": "<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011' type='static' "
    "profiles='urn:mpeg:dash:profile:isoff-main:2011' mediaPresentationDuration='PT2S'><Period>"
    "<AdaptationSet><Representation id='1' bandwidth='1'><BaseURL>{url}</BaseURL>"
    "</Representation></AdaptationSet></Period></MPD>",
    "pls": "[playlist]\nNumberOfEntries=1\nFile1={url}\n",
    "asx": "<asx version='3.0'><entry><ref href='{url}'/></entry></asx>",
    "smil": "<smil><body><video src='{url}'/></body></smil>",
    "xspf": "<?xml version='1.0'?><playlist><trackList><track><location>{url}</location></track>"
    "</trackList></playlist>",
}


@pytest.fixture
def host():
    """A host on this machine that hears of every connection and datagram, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as stream, socket.socket(type=2) as datagram:
        port = stream.getsockname()[1]
        stream.settimeout(0.05)
        with contextlib.suppress(OSError):  # the same number may be taken: TCP hears the most
            datagram.bind(("127.0.0.1", port))
        yield stream, port


def heard(stream):
    """Connections that are waiting to be answered."""
    found = 0
    with contextlib.suppress(TimeoutError):
        while True:
            stream.accept()[0].close()
            found += 1
    return found


def written(folder, kind, name, port):
    path = folder / name
    url = f"http://127.0.0.1:{port}/clip.mp4"
    text = FILES[kind]
    for word, value in (("url", url), ("host", "127.0.0.1"), ("port", str(port))):
        text = text.replace(f"{{{word}}}", value)
    path.write_text(text)
    return path


@pytest.mark.parametrize("kind", FILES)
def test_whatever_names_a_host_is_refused_and_no_host_is_asked(tmp_path, host, kind):
    stream, port = host
    for name in ("clip.mp4", "clip.wav", f"clip.{kind.partition('-')[0]}"):
        path = written(tmp_path, kind, name, port)
        for read in READERS.values():
            with pytest.raises(BadMedia, match="playlist or script that names other files"):
                read(path)
    assert heard(stream) == 0


def test_the_host_hears_of_whoever_opens_such_a_file_carelessly(tmp_path, host):
    stream, port = host
    path = written(tmp_path, "m3u8", "clip.mp4", port)
    careless = {"protocol_whitelist": "file,http,tcp,crypto,data"}
    with pytest.raises(av.error.FFmpegError):
        av.open(str(path), format="hls", options=careless, timeout=0.3)
    assert heard(stream) > 0


@pytest.mark.parametrize("kind", ["m3u8", "ffconcat"])
def test_a_list_of_files_on_this_machine_is_refused_too(tmp_path, clip_path, kind):
    lists = {
        "m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{clip_path}\n#EXT-X-ENDLIST\n",
        "ffconcat": f"ffconcat version 1.0\nfile '{clip_path}'\n",
    }
    path = tmp_path / "clip.mp4"
    path.write_text(lists[kind])
    for read in READERS.values():
        with pytest.raises(BadMedia, match="give the media file itself"):
            read(path)


@pytest.mark.parametrize(
    "name", ["http://127.0.0.1:{port}/a.mp4", "tcp://127.0.0.1:{port}", "rtsp://127.0.0.1:{port}/a"]
)
def test_an_address_is_the_name_of_a_file_that_is_not_there(host, name):
    stream, port = host
    for read in READERS.values():
        with pytest.raises(BadMedia, match="no media file at"):
            read(name.replace("{port}", str(port)))
    assert heard(stream) == 0


@pytest.mark.parametrize("name", ["concat:{clip}|{clip}", "subfile,,start,0,end,9,,:{clip}"])
def test_a_protocol_of_ffmpeg_in_a_name_is_a_name(clip_path, name):
    for read in READERS.values():
        with pytest.raises(BadMedia, match="no media file at"):
            read(name.replace("{clip}", str(clip_path)))
