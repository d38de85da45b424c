"""What is checked of a graph when it is made: order, circles, what each node can work on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..cache.errors import BadCall, BadInput, BadRecipe, unknown
from ..cache.records import MAIN
from ..extract.base import TRANSCRIPT
from ..extract.cut import check_cut
from .nodes import Encode, Extract, Fit, Node, Reduce

if TYPE_CHECKING:
    from .graph import Workflow


def check_order(workflow: Workflow) -> None:
    """See that each node stands after what it reads.

    Raises:
        BadRecipe: a node reads one that is unknown, or that stands after it; a cycle is printed
            as its path.
    """
    seen: set[str] = set()
    for node in workflow:
        for name in node.inputs:
            if name not in workflow.nodes:
                raise BadRecipe(
                    f"workflow '{workflow.name}': node '{node.name}' reads "
                    f"{unknown('node', name, workflow.nodes)}"
                )
            if name not in seen:
                path = _path(workflow, name, node.name)
                if path:
                    circle = " -> ".join([node.name, *path])
                    raise BadRecipe(f"workflow '{workflow.name}': nodes in a circle: {circle}")
                raise BadRecipe(
                    f"workflow '{workflow.name}': node '{node.name}' needs '{name}', which does "
                    f"not stand before it ({', '.join(sorted(seen)) or 'nothing'} does). "
                    f"Move '{name}' up."
                )
        seen.add(node.name)


def _path(workflow: Workflow, start: str, goal: str) -> list[str] | None:
    stack, seen = [[start]], {start}
    while stack:
        path = stack.pop()
        if path[-1] == goal:
            return path
        for name in workflow.nodes[path[-1]].inputs if path[-1] in workflow.nodes else ():
            if name == goal or name not in seen:
                seen.add(name)
                stack.append([*path, name])
    return None


def check_inputs(workflow: Workflow, node: Node) -> None:
    """See that a node can work on what it reads.

    Raises:
        BadRecipe: it cannot; the message says what it needs and what it got.
    """
    where = f"workflow '{workflow.name}': node '{node.name}'"
    if isinstance(node, Extract):
        with said_of(node):
            needs = node.extractor.needs  # which may follow from a model's configuration
        wanted = needs.features
        given = set(node.on)
        if needs.text:
            given.discard(TRANSCRIPT)
        if given != set(wanted):
            raise BadRecipe(
                f"{where}: '{node.what}' reads {_listed(wanted)}, its 'on' names {_listed(node.on)}"
            )
        for role, name in node.on.items():
            upstream = workflow[name]
            fits = isinstance(upstream, Extract) and upstream.extractor.fills(role)
            if not fits:
                raise BadRecipe(f"{where}: '{name}' ({upstream.what}) does not provide '{role}'")
        return
    for name in node.on:
        if isinstance(workflow[name], Fit):
            raise BadRecipe(
                f"{where} reads '{name}', which is a fit and makes no features. "
                f"Add a node '{{encode: {name}}}' and read that."
            )
    if isinstance(node, Fit):
        if node.start and not isinstance(workflow[node.start], Fit):
            raise BadRecipe(f"{where}: only from a fit can one start, '{node.start}' is none")
        if node.labels_from and not isinstance(upstream := workflow[node.labels_from], Extract):
            raise BadRecipe(
                f"{where}: labels are made by an extract, '{upstream.name}' ({upstream.what}) is "
                "none"
            )
        try:
            node.settings.check({name: workflow.modality(name) for name in node.on}, node.tasks)
            trained = [name for name in node.on if workflow.encoder(node, name)]
            node.settings.check_encoders(trained, node.on)
        except BadCall as error:
            raise BadRecipe(f"{where}: {error}") from error
    if isinstance(node, Reduce) and not isinstance(upstream := workflow[node.on[0]], Extract):
        raise BadRecipe(
            f"{where}: a reduction reads the features of one extract, '{upstream.name}' "
            f"({upstream.what}) is none"
        )
    if isinstance(node, Encode):
        _check_encode(workflow, node, where)


def _check_encode(workflow: Workflow, node: Encode, where: str) -> None:
    fit = workflow[node.of]
    if not isinstance(fit, Fit):
        raise BadRecipe(f"{where}: only a fit can be encoded, '{node.of}' is none")
    given = {name: workflow.modality(name) for name in fit.on}
    if node.gives == "rows" and not fit.settings.rows_of(given):
        raise BadRecipe(
            f"{where}: model '{fit.model}' of '{fit.name}' has no rows of its own to give, only "
            "one vector an utterance: set 'gives: hidden'"
        )


def check_made_labels(workflow: Workflow) -> None:
    """Refuse, before anything runs, a fit whose tasks the node that makes its labels has not.

    Raises:
        BadCall: it has no such column, or none that the fit learns.
    """
    for fit in workflow.fits:
        if not fit.labels_from:
            continue
        upstream = workflow[fit.labels_from]
        assert isinstance(upstream, Extract)  # checked when the workflow was made
        columns = workflow.spec(upstream)[MAIN].columns
        told = f"its columns are {', '.join(columns)}" if columns else "its columns have no names"
        where = f"node '{fit.name}': '{upstream.name}' ({upstream.what}) makes labels for it"
        for task in fit.made_tasks:
            if task not in columns:
                raise BadCall(
                    f"{where}, but not of its task '{task}': {told}. Choose tasks among them"
                )
        if not fit.made_tasks:
            raise BadCall(
                f"{where}, and its tasks [{', '.join(fit.tasks)}] are all labels of the corpus: "
                f"{told}. Choose one of them, or leave 'labels_from' out"
            )


def check_starts(workflow: Workflow) -> None:
    """Refuse, before anything runs, a fit that goes on training layers of another pretrained model.

    Raises:
        BadInput: it does; names both models, and what they are made from.
        BadCall: weights cannot be read.
    """
    for fit in workflow.fits:
        parent = workflow[fit.start] if fit.start else fit
        assert isinstance(parent, Fit)  # checked when the workflow was made
        trained = {workflow.modality(n): n for n in parent.on if workflow.encoder(parent, n)}
        for name in fit.on if parent is not fit and fit.settings.starts_encoders else ():
            before = trained.get(workflow.modality(name), name)
            if not workflow.encoder(fit, name) or before == name:
                continue
            ours, theirs = _base(workflow, name), _base(workflow, before)
            if any(ours[part] != theirs[part] for part in ("layer", "weights")):
                raise BadInput(
                    f"node '{fit.name}' (model '{fit.model}') trains layers above '{name}', and "
                    f"cannot start from '{parent.name}' (model '{parent.model}'), which was "
                    f"trained above '{before}': {_told(theirs)} there, {_told(ours)} here. Give "
                    "both the same weights and layer"
                )


def _base(workflow: Workflow, name: str) -> dict[str, Any]:
    """Which pretrained model an extract stores a layer of, and which layer."""
    node = workflow[name]
    assert isinstance(node, Extract)  # it comes with an encoder
    description = workflow.description(node)
    model = getattr(node.extractor, "model", node.extractor.name)
    layer = getattr(node.extractor, "layer", None)
    weights = dict(description["weights"])
    number = check_cut(node.extractor)
    return {"model": model, "layer": layer, "number": number, "weights": weights}


def _told(base: Mapping[str, Any]) -> str:
    digests = ", ".join(str(digest)[:12] for digest in base["weights"].values())
    above = f"layer {base['number']} above its embeddings; " if base["layer"] < 0 else ""
    return f"layer {base['layer']} of '{base['model']}' ({above}{digests})"


def _listed(names: Sequence[str] | Mapping[str, str]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "no features"


@contextmanager
def said_of(node: Extract) -> Iterator[None]:
    """Errors of its files name the node: several nodes of a recipe may have such files."""
    try:
        yield
    except BadCall as error:
        raise BadCall(f"node '{node.name}': {error}") from error
