"""Every extractor by its name. One line each; the file is imported when it is asked for."""

from __future__ import annotations

import dataclasses
import importlib
from typing import Any

from ..cache.errors import BadCall, unknown
from .base import Extractor

#: Registry name -> module inside ``affectflow.extract`` and class.
EXTRACTORS: dict[str, tuple[str, str]] = {
    "action-units": ("vision.action_units", "ActionUnits"),
    "active-speaker": ("vision.active_speaker", "ActiveSpeaker"),
    "asr": ("text.asr", "Asr"),
    "covarep": ("audio.covarep_features", "Covarep"),
    "covarep-glottal": ("audio.covarep_features", "CovarepGlottal"),
    "covarep-hmpd": ("audio.covarep_features", "CovarepHmpd"),
    "covarep-mcep": ("audio.covarep_features", "CovarepMcep"),
    "egemaps": ("audio.egemaps", "Egemaps"),
    "face-crops": ("vision.face_crops", "FaceCrops"),
    "face-embedding": ("vision.face_embedding", "FaceEmbedding"),
    "face-geometry": ("vision.face_geometry", "FaceGeometry"),
    "face-hog": ("vision.face_hog", "FaceHog"),
    "face-landmarks": ("vision.face_landmarks", "FaceLandmarks"),
    "faces": ("vision.faces", "TrackedFaces"),
    "hf-speech": ("audio.hf_speech", "HfSpeech"),
    "hf-text": ("text.hf_text", "HfText"),
    "hf-tokens": ("text.hf_tokens", "HfTokens"),
    "imported": ("imported", "Imported"),
    "largest-face": ("vision.largest_face", "LargestFace"),
    "hf-vision": ("vision.hf_vision", "HfVision"),
    "librosa": ("audio.librosa_features", "Librosa"),
    "librosa-33": ("audio.librosa33", "Librosa33"),
    "logmel-64": ("audio.logmel64", "LogMel64"),
    "mask-sentiment": ("text.mask_sentiment", "MaskSentiment"),
    "masked-tokens": ("text.masked_tokens", "MaskedTokens"),
    "mouth-motion": ("vision.mouth_motion", "MouthMotion"),
    "mtcnn-face": ("vision.mtcnn_face", "MtcnnFace"),
    "mvit": ("vision.swin3d", "Mvit"),
    "openface2": ("vision.openface2", "OpenFace2"),
    "opensmile": ("audio.opensmile_sets", "OpenSmile"),
    "pool-tokens": ("pool_tokens", "PoolTokens"),
    "pool-words": ("pool_words", "PoolWords"),
    "r2plus1d": ("vision.swin3d", "R2plus1d"),
    "srh-pitch": ("audio.covarep_features", "SrhPitch"),
    "swin3d": ("vision.swin3d", "Swin3d"),
    "vader": ("text.vader", "Vader"),
    "word-times": ("text.word_times", "WordTimes"),
    "word-times-file": ("text.word_times_file", "WordTimesFile"),
    "word-vectors": ("text.vectors", "WordVectors"),
}
#: Role that extractors ask for -> the extractor that fills it where nothing else is named.
PROVIDERS = {"faces": "mtcnn-face", "tracks": "faces"}


def extractor_class(name: str) -> type[Extractor]:
    """The class behind a registry name.

    Raises:
        UnknownName: no extractor has this name.
    """
    if name not in EXTRACTORS:
        raise unknown("extractor", name, EXTRACTORS)
    module, attribute = EXTRACTORS[name]
    found: type[Extractor] = getattr(importlib.import_module(f"..{module}", __name__), attribute)
    return found


def extractor(name: str, **settings: Any) -> Extractor:
    """Make an extractor: ``extractor("mtcnn-face", rate=5)("clip.mp4")``.

    Raises:
        UnknownName: no extractor has this name, or it has no such setting.
        BadCall: a setting is missing or out of its range.
    """
    kind = extractor_class(name)
    known = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    for setting in settings:
        if setting not in known:
            raise unknown(f"setting of '{name}'", setting, known)
    try:
        return kind(**settings)
    except TypeError as error:
        raise BadCall(f"extractor '{name}': {error}") from error


def provider(role: str) -> Extractor:
    """The default extractor that fills a role, such as ``faces``."""
    if role not in PROVIDERS:
        raise unknown("role", role, PROVIDERS)
    return extractor(PROVIDERS[role])
