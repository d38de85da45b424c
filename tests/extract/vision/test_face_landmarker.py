"""FaceLandmarker with MediaPipe itself, on a model file of three tiny networks made here.

They answer the same for every picture that is bright. What Google's released networks see in a face
is shown in ``test_face_landmarks.py``, and there only beside a copy of their file.
"""

import struct
import sys
import zipfile
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest

from affectflow.cache.errors import BadCall
from affectflow.extract.registry import extractor
from affectflow.extract.vision.face_landmarker import (
    BLENDSHAPES,
    N_LANDMARKS,
    PARTS,
    load_face_landmarker,
)

#: Eye corners of the head below, as landmarks are numbered: cm, right, up, towards the viewer.
CORNERS = {
    33: (-4.4459, 2.664, 3.1734),
    133: (-1.8564, 2.5852, 3.7579),
    362: (1.8564, 2.5852, 3.7579),
    263: (4.4459, 2.664, 3.1734),
}
#: The picture of all tests, (height, width): the face is sought in its longer side's middle half,
#: its landmarks in a square 1.5 times as large, brought to 256 pixels.
HEIGHT, WIDTH = 200, 240
SQUARE = 1.5 * WIDTH / 2
#: cm from MediaPipe's camera to the head below, and that camera's focal length in pixels.
AWAY, FOCAL = 30.0, HEIGHT / 2 / np.tan(np.radians(63 / 2))


def head():
    """An egg-shaped head, (478, 3) cm."""
    n = np.arange(N_LANDMARKS)
    height = 1 - 2 * (n + 0.5) / N_LANDMARKS
    around = n * np.pi * (3 - np.sqrt(5))  # a sunflower's angles: even, and never in a row
    ring = np.sqrt(1 - height**2)
    points = np.stack([7 * ring * np.cos(around), 9 * height, 7 * ring * np.sin(around)], axis=1)
    points[list(CORNERS)] = list(CORNERS.values())
    return points


def pictured():
    """The head as that camera sees it, (478, 3) pixels from the picture's middle."""
    points = head()
    near = FOCAL / (AWAY - points[:, 2:])
    return np.concatenate([points[:, :2] * near * (1, -1), -points[:, 2:] * FOCAL / AWAY], axis=1)


def network(given, ops, tensors, outputs):
    """A TFLite model; ``tensors``: name -> shape or constant; ``ops``: (name, inputs, output)."""
    from mediapipe.tasks.metadata import schema_py_generated as schema

    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.buffers, model.operatorCodes = 3, [schema.BufferT()], []
    graph.tensors, graph.operators = [], []
    names = list(tensors)
    for name, value in tensors.items():
        tensor = schema.TensorT()
        tensor.name, tensor.buffer = name, 0
        tensor.shape = list(np.shape(value) if isinstance(value, np.ndarray) else value)
        if isinstance(value, np.ndarray):
            tensor.type = 2 if value.dtype == np.int32 else 0
            tensor.buffer = len(model.buffers)
            model.buffers.append(schema.BufferT())
            model.buffers[-1].data = np.frombuffer(value.tobytes(), np.uint8)
        graph.tensors.append(tensor)
    for number, (name, read, made) in enumerate(ops):
        code, op = schema.OperatorCodeT(), schema.OperatorT()
        code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, name)
        code.version = 1
        model.operatorCodes.append(code)
        op.opcodeIndex, op.outputs = number, [names.index(made)]
        op.inputs = [names.index(tensor) for tensor in read]
        if name != "RESHAPE":
            kind = {"MEAN": "Reducer", "MUL": "Mul", "SUB": "Sub"}[name] + "Options"
            op.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            op.builtinOptions = getattr(schema, f"{kind}T")()
        if name == "MEAN":
            op.builtinOptions.keepDims = True
        graph.operators.append(op)
    graph.inputs = [names.index(given)]
    graph.outputs = [names.index(name) for name in outputs]
    model.subgraphs = [graph]
    return model


def packed(model, mean=None, std=None):
    """Bytes of a model; ``mean`` and ``std``: how its pictures are normalised."""
    import flatbuffers
    from mediapipe.tasks.metadata import metadata_schema_py_generated as notes
    from mediapipe.tasks.metadata import schema_py_generated as schema

    if mean is not None:
        unit, content, picture = notes.ProcessUnitT(), notes.ContentT(), notes.TensorMetadataT()
        graph, about = notes.SubGraphMetadataT(), notes.ModelMetadataT()
        unit.optionsType = notes.ProcessUnitOptions.NormalizationOptions
        unit.options = notes.NormalizationOptionsT()
        unit.options.mean, unit.options.std = [mean], [std]
        content.contentPropertiesType = notes.ContentProperties.ImageProperties
        content.contentProperties = notes.ImagePropertiesT()
        content.contentProperties.colorSpace = notes.ColorSpaceType.RGB
        picture.name, picture.processUnits, picture.content = "image", [unit], content
        graph.inputTensorMetadata = [picture]
        graph.outputTensorMetadata = [notes.TensorMetadataT() for _ in model.subgraphs[0].outputs]
        about.subgraphMetadata = [graph]
        inner = flatbuffers.Builder(0)
        inner.Finish(about.Pack(inner), b"M001")
        entry = schema.MetadataT()
        entry.name, entry.buffer = "TFLITE_METADATA", len(model.buffers)
        model.metadata = [entry]
        model.buffers.append(schema.BufferT())
        model.buffers[-1].data = np.frombuffer(bytes(inner.Output()), np.uint8)
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def shape(*sides):
    return np.array(sides, np.int32)


def face_detector():
    """Finds one face, half as wide as the picture, in the picture's middle, in every picture."""
    anchor = (8 * 16 + 8) * 2  # of the anchors at 16 x 16 places, the one right of the middle
    boxes, scores = np.zeros((1, 896, 16), np.float32), np.full((1, 896, 1), -100, np.float32)
    eyes_nose_mouth_ears = (-13, -10, 13, -10, 0, 5, 0, 20, -25, -5, 25, -5)
    boxes[0, anchor] = (0, 0, 64, 64, *eyes_nose_mouth_ears)  # pixels of 128, from the anchor,
    boxes[0, anchor, [0, 1, *range(4, 16)]] -= 4  # which is half a place off the middle
    scores[0, anchor] = 5
    tensors = {
        "image": (1, 128, 128, 3),
        "the boxes": boxes,
        "the scores": scores,
        "box shape": shape(*boxes.shape),
        "score shape": shape(*scores.shape),
        "boxes": boxes.shape,
        "scores": scores.shape,
    }
    ops = [
        ("RESHAPE", ("the boxes", "box shape"), "boxes"),
        ("RESHAPE", ("the scores", "score shape"), "scores"),
    ]
    return packed(network("image", ops, tensors, ("boxes", "scores")), 127.5, 127.5)


def landmarks_detector():
    """Puts the head into the middle of its picture; there is one where the picture is bright."""
    points = pictured() * 256 / SQUARE + (128, 128, 0)
    points = points.reshape(1, 1, 1, -1).astype(np.float32)
    tensors = {
        "image": (1, 256, 256, 3),
        "the points": points,
        "no tongue": np.zeros((1, 1), np.float32),
        "half": np.full((1, 1, 1, 1), 0.5, np.float32),
        "slope": np.full((1, 1, 1, 1), 50, np.float32),
        "axes": shape(1, 2, 3),
        "point shape": shape(*points.shape),
        "tongue shape": shape(1, 1),
        "points": points.shape,
        "tongue": (1, 1),
        "brightness": (1, 1, 1, 1),
        "above": (1, 1, 1, 1),
        "presence": (1, 1, 1, 1),
    }
    ops = [
        ("RESHAPE", ("the points", "point shape"), "points"),
        ("MEAN", ("image", "axes"), "brightness"),
        ("SUB", ("brightness", "half"), "above"),
        ("MUL", ("above", "slope"), "presence"),
        ("RESHAPE", ("no tongue", "tongue shape"), "tongue"),
    ]
    return packed(network("image", ops, tensors, ("points", "presence", "tongue")), 0.0, 255.0)


def blendshapes():
    """Gives each coefficient its number over 100."""
    tensors = {
        "points": (1, 146, 2),
        "numbers": np.arange(52, dtype=np.float32) / 100,
        "shape": shape(52),
        "scores": (52,),
    }
    return packed(
        network("points", [("RESHAPE", ("numbers", "shape"), "scores")], tensors, ("scores",))
    )


def field(number, wire, content):
    """One field of a protocol buffer."""
    return varint(number << 3 | wire) + content


def varint(n):
    found = b""
    while n > 127:
        found, n = found + bytes([n & 127 | 128]), n >> 7
    return found + bytes([n])


def geometry():
    """MediaPipe's notes on the head: its mesh, and how much each landmark counts for its place."""
    points = np.concatenate([head()[:468], np.zeros((468, 2))], axis=1)  # and no texture
    mesh = field(1, 0, varint(0)) + field(2, 0, varint(0))
    mesh += b"".join(field(3, 5, struct.pack("<f", x)) for x in points.ravel())
    mesh += b"".join(field(4, 0, varint(i)) for i in (0, 1, 2))
    basis = [field(1, 0, varint(i)) + field(2, 5, struct.pack("<f", 0.1)) for i in range(0, 468, 9)]
    parts = [field(1, 2, varint(len(mesh)) + mesh)]
    parts += [field(2, 2, varint(len(one)) + one) for one in basis]
    return b"".join([*parts, field(3, 0, varint(1))])


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    """A `.task` file as FaceLandmarker reads it."""
    pytest.importorskip("mediapipe")
    path = tmp_path_factory.mktemp("landmarker") / "tiny.task"
    contents = (face_detector(), landmarks_detector(), blendshapes(), geometry())
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in zip(PARTS, contents, strict=True):
            archive.writestr(name, content)
    return path


@pytest.fixture
def bright():
    """A picture in which there is a face, as the tiny networks see it."""
    return np.full((HEIGHT, WIDTH, 3), 200, np.uint8)


def test_finds_the_landmarks_where_the_networks_put_them(task, bright):
    (found,) = load_face_landmarker(task).faces(bright)
    np.testing.assert_allclose(found.landmarks, pictured() + (WIDTH / 2, HEIGHT / 2, 0), atol=1e-3)


def test_gives_blendshapes_in_the_order_of_their_names(task, bright):
    (found,) = load_face_landmarker(task).faces(bright)
    assert len(BLENDSHAPES) == 52
    np.testing.assert_allclose(found.blendshapes, np.arange(52) / 100, atol=1e-6)


def test_its_matrix_puts_the_head_before_a_camera_of_63_degrees(task, bright):
    (found,) = load_face_landmarker(task).faces(bright)
    np.testing.assert_allclose(found.matrix[:3, :3], np.eye(3), atol=0.01)
    np.testing.assert_allclose(found.matrix[:3, 3], (0, 0, -AWAY), atol=0.5)


def test_sees_a_picture_alike_whatever_it_saw_before(task, bright):
    network = load_face_landmarker(task)
    (first,) = network.faces(bright)
    assert network.faces(np.zeros_like(bright)) == []
    assert network.faces(np.zeros((1, 1, 3), np.uint8)) == []
    (again,) = network.faces(bright)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_extractor_gives_what_it_sees_in_the_faces_window(task, make_clip, still_faces):
    """The window of a box of 120 pixels is the picture of the tests above, 20 pixels aside."""
    picture = np.full((HEIGHT, WIDTH + 20, 3), 200, np.uint8)
    clip = make_clip([picture, picture // 10, picture])
    box = (20 + WIDTH / 4, HEIGHT / 2 - WIDTH / 4, 20 + 3 * WIDTH / 4, HEIGHT / 2 + WIDTH / 4)
    clip.features["faces"] = still_faces(3, box, picture.shape[:2])
    node = extractor("face-landmarks", model=str(task))
    found = node.extract(clip)
    assert found.mask.tolist() == [True, False, True]  # in the dark no face is seen
    values = dict(zip(found.columns, found.values[0], strict=True))
    places = np.array([[values[f"{axis}_{i}"] for axis in "xyz"] for i in range(N_LANDMARKS)])
    wanted = pictured() + (20 + WIDTH / 2, HEIGHT / 2, 0)
    np.testing.assert_allclose(places, wanted, atol=1e-3)
    np.testing.assert_allclose(
        [values[name] for name in BLENDSHAPES], np.arange(52) / 100, atol=1e-6
    )
    np.testing.assert_array_equal(found.values[2], found.values[0])


def test_a_model_is_loaded_once(task):
    assert load_face_landmarker(task) is load_face_landmarker(task)


def test_says_when_the_networks_inside_cannot_be_read(tmp_path, task):
    with zipfile.ZipFile(tmp_path / "a.task", "w") as archive:
        for part in PARTS:
            archive.writestr(part, b"not a network")
    with pytest.raises(BadCall, match=r"a.task' cannot be loaded: \w+"):
        load_face_landmarker(tmp_path / "a.task")


@pytest.fixture
def installed(monkeypatch):
    """As if mediapipe were installed: files are looked at before it is loaded."""
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.10.31")


def test_refuses_a_file_that_is_no_task(tmp_path, installed):
    (tmp_path / "a.task").write_bytes(b"TFL3")
    with pytest.raises(
        BadCall, match=r"a.task' is no .task file, .* \(File is not a zip file\); set"
    ):
        load_face_landmarker(tmp_path / "a.task")


def test_refuses_the_task_of_another_model(tmp_path, installed):
    with zipfile.ZipFile(tmp_path / "hand.task", "w") as archive:
        archive.writestr("hand_detector.tflite", b"")
    with pytest.raises(
        BadCall, match=r"lacks face_detector.tflite, .* holds hand_detector.tflite; s"
    ):
        load_face_landmarker(tmp_path / "hand.task")


def test_says_when_there_is_no_such_file(tmp_path):
    with pytest.raises(BadCall, match="no file of weights at '.*a.task'"):
        load_face_landmarker(tmp_path / "a.task")


def test_says_which_extra_brings_mediapipe(tmp_path, monkeypatch):
    (tmp_path / "a.task").write_bytes(b"")

    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", missing)
    with pytest.raises(
        BadCall, match=r"needs mediapipe: .*; pip install 'affectflow\[landmarks\]'"
    ):
        load_face_landmarker(tmp_path / "a.task")


def test_says_when_mediapipe_does_not_load(tmp_path, monkeypatch, installed):
    with zipfile.ZipFile(tmp_path / "a.task", "w") as archive:
        for part in PARTS:
            archive.writestr(part, b"")
    monkeypatch.setitem(sys.modules, "mediapipe.tasks.python", None)
    with pytest.raises(BadCall, match=r"needs mediapipe: import of media.* halted; .*; pip"):
        load_face_landmarker(tmp_path / "a.task")
