from collections import Counter

import numpy as np
import pytest
import torch

from affectflow.cache.errors import TrainingError
from affectflow.train.batches import Part
from affectflow.train.dataset import join
from affectflow.train.domains import Domains, domains_of
from affectflow.train.reading import Reading
from affectflow.train.settings.base import ModelSettings


class Asks(ModelSettings):
    name = "asks"
    domains = True


class DoesNot(ModelSettings):
    name = "does-not"


def part_of(n, domains):
    values = np.arange(n, dtype=np.float32)[:, None]
    return Part(
        {"x": Reading(values, np.ones(n, bool))}, values.astype(float), "cpu", None, domains
    )


def shown(part, size, seed=0):
    order = torch.randperm(part.shown, generator=torch.Generator().manual_seed(seed))[None]
    return list(part.steps(order, size, torch.ones(1)))


def test_the_corpora_of_a_split_are_numbered_by_their_names():
    names = ["vox", "mosi", "vox", "meld", "mosi"]
    dataset = join("abcde", ["train"] * 4 + ["test"], {}, [], names)
    chosen = dataset.rows("train")
    assert domains_of(Asks(), dataset, chosen).number.tolist() == [2, 1, 2, 0]
    assert domains_of(Asks(), dataset, np.array([0, 1])).number.tolist() == [1, 0]
    assert domains_of(DoesNot(), dataset, chosen) is None
    assert domains_of(Asks(), join("abcde", [""] * 5, {}, []), chosen) is None


def test_a_corpus_column_of_another_length_is_refused():
    with pytest.raises(TrainingError, match="2 utterances, but 3 values of 'domains'"):
        join("ab", ["train"] * 2, {}, [], ["x", "y", "z"])


def test_a_training_batch_knows_whose_its_utterances_are():
    number = np.array([0, 1, 1, 0, 2])
    part = part_of(5, Domains(number, np.empty(0, np.int64)))
    for batch, truth, _ in shown(part, 2):
        own = batch.values["x"][0, :, 0].long().numpy()
        assert batch.domain[0].tolist() == number[own].tolist()
        assert truth[0, :, 0].tolist() == own.tolist() == batch.index[0].tolist()
        assert batch.copied is None
    assert all(batch.domain is None for batch in part.in_order(1))
    assert all(batch.domain is None for batch, *_ in shown(part_of(5, None), 2))


def test_an_epoch_shows_what_it_is_to_show_again_as_copies():
    part = part_of(4, Domains(np.array([0, 0, 0, 1]), np.array([3, 3])))
    assert (part.n, part.shown) == (4, 6)
    seen, copies = Counter(), Counter()
    for batch, truth, weights in shown(part, 4):
        own = batch.values["x"][0, :, 0].long().tolist()
        assert truth[0, :, 0].tolist() == own
        seen.update(own)
        copies.update(i for i, copied in zip(own, batch.copied[0].tolist(), strict=True) if copied)
        assert weights.sum() == pytest.approx(1)
        assert batch.domain[0].tolist() == [int(i == 3) for i in own]
    assert seen == {0: 1, 1: 1, 2: 1, 3: 3}
    assert copies == {3: 2}
