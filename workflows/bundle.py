"""A fitted recipe as one portable file, and scores of new clips from it, without a corpus.

The file is a zip archive: ``bundle.json`` (the recipe's nodes, settings, digests of extractor
weights, library versions) and the checkpoints of the fits, as they lie in the store. Its normaliser
and lengths are part of each checkpoint. What extractors load (BERT's folder, say) is not in it:
that has a licence and gigabytes of its own. Scores are means over the fit's seeds.
"""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import __version__
from ..cache import checkpoints as store
from ..cache.checkpoints import MODEL_FILES, Checkpoint, checkpoint_folder
from ..cache.errors import AffectflowError, BadCall, BadInput, BadMedia, NotCached
from ..cache.publish import publish
from ..cache.records import ArraySpec, Features
from ..cache.table import concat
from ..extract.base import TRANSCRIPT, heard
from ..extract.clip import Clip
from ..train.targets import from_meta
from .bundle_content import FORMAT, BundleContent, CorpusName, Origin, parse_content
from .encoding import encode_spec
from .folding import refuse_folds
from .graph import Workflow
from .machine import check_device
from .nodes import FOR_TRAINING, Encode, Extract, Fit, Reduce
from .recipe import Recipe, build
from .reducing import reduced
from .run import look
from .variants import changed

CONTENT = "bundle.json"


@dataclass(frozen=True)
class Score:
    """Scores of one clip.

    Args:
        values: task -> score in the units of the labels, or class -> probability; means over the
            fit's seeds.
        missing: features that could not be made -> why; their modality is masked.
        warnings: what is to be known of features that were made, by node.
    """

    values: Mapping[str, float]
    missing: Mapping[str, str]
    warnings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def pack_model(
    recipe: str | Path | Recipe,
    cache: str | Path,
    node: str,
    out: Path,
    *,
    corpus: str | Path | None = None,
    variants: Sequence[str] = (),
    overrides: Sequence[str] = (),
) -> Path:
    """Write the model of a fit, and all fits and settings that it needs, to one file.

    Raises:
        BadCall: the node is not a fit, or the recipe runs on folds.
        NotCached: it was not trained yet.
    """
    loaded, opened, board = look(recipe, cache, corpus, variants, overrides, (node,), again=False)
    refuse_folds(loaded, "a packed model")
    if not isinstance(loaded.workflow[node], Fit):
        raise BadCall(f"only a fit can be packed, '{node}' is {loaded.workflow[node].what}")
    states = {state.node.name: state for state in board.look_all()}
    waiting = [name for name, state in states.items() if not state.done]
    if waiting:
        raise NotCached(
            f"cannot pack '{node}': {', '.join(waiting)} not done yet; run the workflow first: "
            f"affectflow run {loaded.called}"
        )
    needed = loaded.workflow.upto([node], predicting=True)
    fitted = {
        name: checkpoint
        for name in needed.nodes
        if (checkpoint := states[name].checkpoint or states[name].basis) is not None
    }
    content = BundleContent(
        format=FORMAT,
        affectflow=__version__,
        name=loaded.name,
        nodes={name: _to_predict(loaded.source["nodes"][name]) for name in needed.nodes},
        node=node,
        extracts={
            extract.name: Origin.model_validate(board.origin(extract))
            for extract in needed.extracts
        },
        fits={name: checkpoint.fingerprint for name, checkpoint in fitted.items()},
        corpus=CorpusName(name=opened.name, note=opened.note, family=opened.family),
    )
    image = io.BytesIO()
    with zipfile.ZipFile(image, "w") as archive:
        archive.writestr(CONTENT, content.model_dump_json(indent=1))
        for checkpoint in fitted.values():
            for name in MODEL_FILES:
                archive.writestr(
                    f"{checkpoint.fingerprint}/{name}", (checkpoint.folder / name).read_bytes()
                )
    publish(Path(out), image.getbuffer(), replace=True)
    return out


@dataclass(frozen=True, eq=False)
class Bundle:
    """A packed model, ready to score.

    Args:
        workflow: the nodes it needs.
        node: the fit whose predictions are wanted.
        checkpoints: of every fit and reduction, by node.
        weights: of each, by node.
        notes: what differs between the machine that packed it and this one.
    """

    workflow: Workflow
    node: str
    checkpoints: Mapping[str, Checkpoint]
    weights: Mapping[str, Mapping[str, Any]]
    notes: tuple[str, ...]

    @classmethod
    def read(cls, path: str | Path, overrides: Sequence[str] = ()) -> Bundle:
        """Read a packed model and check that this machine computes the same features.

        Args:
            path: file written by ``pack_model``.
            overrides: ``node.setting=value``, for where weights lie on this machine.

        Raises:
            BadInput: the file is not a packed model.
            BadRecipe, UnknownName: an override cannot be read, or names no node of it.
            BadCall: an extractor's version or weights differ from those it was trained with.
            NewerCache: it was packed by a newer version.
        """
        try:
            with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory() as folder:
                unpacked = sum(entry.file_size for entry in archive.infolist())
                if unpacked > Path(path).stat().st_size:  # ours are stored as they are
                    raise BadInput(f"'{path}' unpacks to more than it weighs: no packed model")
                content = parse_content(archive.read(CONTENT), str(path))
                checkpoints = {
                    name: _unpack(archive, Path(folder), mark)
                    for name, mark in content.fits.items()
                }
                weights = {name: found.weights() for name, found in checkpoints.items()}
        except (OSError, zipfile.BadZipFile, KeyError, ValueError, TypeError) as error:
            if isinstance(error, AffectflowError):
                raise
            raise BadInput(
                f"'{path}' is not a packed model ({error}); make one with 'affectflow pack'"
            ) from error
        source = {"name": content.name, "nodes": content.nodes}
        workflow = build(changed(source, str(path), overrides=overrides), str(path)).workflow
        wanted = {node.name for node in workflow if not isinstance(node, Extract | Encode)}
        for what, missing in (
            ("node", {content.node} - {fit.name for fit in workflow.fits}),
            ("checkpoint", wanted - set(checkpoints)),
            ("origin", {node.name for node in workflow.extracts} - set(content.extracts)),
        ):
            if missing:
                raise BadInput(f"'{path}' lacks the {what} of {', '.join(sorted(missing))}")
        notes = [content.corpus.note] if content.corpus.note else []
        for node in workflow.extracts:
            notes += _compare(workflow, node, content.extracts[node.name])
        return cls(workflow, content.node, checkpoints, weights, tuple(notes))

    @property
    def tasks(self) -> tuple[str, ...]:
        """What it scores, in order: tasks, or the classes of one (``emotion=happy``)."""
        targets = from_meta(self.checkpoints[self.node].meta)
        return tuple(column for target in targets for column in target.columns)

    def score(self, media: str | Path | None, text: str = "", device: str = "cpu") -> Score:
        """Score one clip.

        Args:
            media: its file; None where there is only text.
            text: what is said in it; empty: text features are missing.
            device: ``cpu`` or ``cuda``: what networks of extractors run on.

        Raises:
            BadCall: there is no such device.
            BadMedia: there is no such file.
            BadInput: not a single feature could be made; the message is that of the first.
        """
        check_device(device)
        if media is not None and not Path(media).is_file():
            raise BadMedia(f"there is no file '{media}' to score")
        name = "text" if media is None else Path(media).name
        clip = Clip(name, None if media is None else str(media), text=text)
        made: dict[str, Features] = {}
        missing: dict[str, str] = {}
        warned: dict[str, tuple[str, ...]] = {}
        errors: list[AffectflowError] = []
        for node in self.workflow:
            if isinstance(node, Extract):
                try:
                    made[node.name] = self._extract(node, clip, made, device)
                except AffectflowError as error:
                    missing[node.name] = str(error)
                    errors.append(error)
                else:
                    if clip.warnings:
                        warned[node.name] = tuple(clip.warnings)
                clip.warnings.clear()  # the next node starts afresh on the same clip
            elif isinstance(node, Fit):
                if node.name == self.node:
                    return Score(self._predict(node, made, errors), missing, warned)
            elif isinstance(node, Reduce):
                if node.on[0] in made:
                    made[node.name] = reduced(self.weights[node.name], made[node.on[0]])
            elif any(name in made for name in node.on):
                self._encode(node, made)
        raise AssertionError("a bundle holds the fit that it is for")

    def _extract(
        self, node: Extract, clip: Clip, made: Mapping[str, Features], device: str
    ) -> Features:
        for role, name in node.on.items():
            if name not in made:
                raise BadInput(f"'{node.name}' needs '{name}', which could not be made")
            clip.features[role] = made[name]
        if TRANSCRIPT in node.on:
            clip = heard(clip, clip.features[TRANSCRIPT])
        answer = next(node.extractor.many([clip], device))
        if isinstance(answer, Exception):
            raise answer
        return answer.cast(self.workflow.spec(node))

    def _inputs(self, fit: str, made: Mapping[str, Features]) -> list[Any]:
        from ..extract.cut import upper_of
        from ..train.dataset import Input

        node = self.workflow[fit]
        assert isinstance(node, Fit)  # the caller names a fit
        widths = {i["name"]: i["width"] for i in self.checkpoints[fit].meta["inputs"]}
        inputs = []
        for name in node.on:
            part = made.get(name)
            shape = part.values.shape[1:] if part else (widths[name],)
            table = concat(["clip"], [part], ArraySpec(shape))
            made_by = self.workflow.encoder(node, name)
            encoder = upper_of(made_by) if made_by else None
            inputs.append(Input(name, self.workflow.modality(name), table, encoder))
        return inputs

    def _encode(self, node: Encode, made: dict[str, Features]) -> None:
        """Add what a fit makes of the clip, unless there are no rows that its own would follow."""
        from ..train.fit import encoded

        inputs, fit = self._inputs(node.of, made), node.of
        meta = self.checkpoints[fit].meta
        for _, features in encoded(self.weights[fit], meta, inputs, gives=node.gives):
            made[node.name] = features.cast(encode_spec(features, node.dtype))

    def _predict(
        self, node: Fit, made: Mapping[str, Features], errors: Sequence[AffectflowError]
    ) -> dict[str, float]:
        from ..train.fit import predict

        if not any(name in made for name in node.on):
            raise errors[0]
        inputs = self._inputs(node.name, made)
        rows = predict(self.weights[node.name], self.checkpoints[node.name].meta, inputs)
        means = rows.groupby("task")["prediction"].mean()
        return {task: float(means[task]) for task in self.tasks}


def _to_predict(source: Mapping[str, Any]) -> dict[str, Any]:
    """A node of a recipe without the nodes that it needs only to be trained."""
    return {key: value for key, value in source.items() if key not in FOR_TRAINING}


def _unpack(archive: zipfile.ZipFile, folder: Path, mark: str) -> Checkpoint:
    """One checkpoint, by way of a folder of its own; its digests are checked when it is read."""
    target = checkpoint_folder(folder, mark)
    target.mkdir(parents=True)
    for name in MODEL_FILES:
        (target / name).write_bytes(archive.read(f"{mark}/{name}"))
    found = store.load(folder, mark)
    if found is None:
        raise BadInput(f"the checkpoint {mark[:12]} is missing")
    return found


def _compare(workflow: Workflow, node: Extract, origin: Origin) -> list[str]:
    here, there = workflow.description(node), origin.description
    if here != there:
        parts = [key for key in here if here[key] != there.get(key)]
        raise BadCall(
            f"'{node.name}' ({node.what}) would not make the features that the model was trained "
            f"on: {', '.join(parts)} differ(s): {[there.get(key) for key in parts]} there, "
            f"{[here[key] for key in parts]} here"
        )
    versions = node.libraries()
    return [
        f"'{node.name}': trained with {library} {version}, here is {versions.get(library)}"
        for library, version in origin.libraries.items()
        if versions.get(library) != version
    ]
