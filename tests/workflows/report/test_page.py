import math
import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

from affectflow.cache.errors import Damaged
from affectflow.cache.runs import Warned
from affectflow.train.compare import Comparison, compare, holm
from affectflow.workflows.blocks import constant, fits_of
from affectflow.workflows.report import fits
from affectflow.workflows.report.charts import number
from affectflow.workflows.report.fits import Duel
from affectflow.workflows.report.page import p_value, render, seconds, sentence, write_report

EVIL = "<script>alert('&')</script>"
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """Tags, attributes and text of a page; checks that what is opened is closed."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.open, self.words = [], [], [], []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))


@pytest.fixture(scope="module")
def html(toy_run):
    return render(toy_run)


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def test_lies_in_the_runs_folder_unless_told_otherwise(make_run, tmp_path):
    run = make_run()
    assert write_report(run) == run.folder / "report.html"
    assert write_report(run, tmp_path / "new" / "r.html").read_text().startswith("<!doctype html>")


def test_is_the_same_bytes_twice_and_takes_the_place_of_the_old_one(make_run):
    run = make_run()
    first = write_report(run).read_bytes()
    assert write_report(run).read_bytes() == first
    assert [path.name for path in run.folder.iterdir()] == ["report.html"]


def test_has_its_sections_in_order(page):
    titles = [
        "toy-recipe",
        "One modality against several",
        "Predicted against true",
        "Learning curves",
        "Corpus",
        "Features and fits",
        "Failures",
        "Run it again",
    ]
    places = [page.text.rindex(f"{title} ") for title in titles[1:]]
    assert places == sorted(places)
    assert titles[0] in page.text


def test_scores_are_those_of_the_checkpoints(toy_run, page, means):
    for fit in ("only_t", "only_a", "sf", "late"):
        for spread in means(toy_run, fit).values():
            assert f"{number(spread.mean)} ± {number(spread.std)}".replace(" ", "") in (
                page.text.replace("\u202f", "").replace(" ", "")
            )


def test_every_seed_is_told(toy_run, html):
    for seed in toy_run.states["sf"].checkpoint.meta["seeds"]:
        cells = [number(v) for v in seed["scores"]["test"]["M"].values()]
        row = re.search(
            rf'<tr><th scope="row">sf</th><td class="n">{seed["seed"]}</td>(.*?)</tr>', html, re.S
        )
        assert f">{seed['best_epoch']} of {seed['epochs']}<" in row[1]
        assert sorted(cells) == sorted(re.findall(r">([^<>]*)</td>", row[1])[1:])


def test_what_a_model_shows_of_itself_is_drawn_a_chart_a_name(make_run, html):
    run = make_run()
    assert "validation split, a line a seed" not in html
    for k, seed in enumerate(run.states["sf"].checkpoint.meta["seeds"]):
        seed["watched"] = {"cosine/audio": [0.1 * k, 0.2], "cosine/text": [0.9, None], "F1": [1, 1]}
    html = render(run)
    first, second = re.findall(r"<b>sf: (\w+)</b>(.*?)</figure>", html, re.S)
    assert (first[0], second[0]) == ("cosine", "F1")
    n = len(run.states["sf"].checkpoint.meta["seeds"])
    assert first[1].count('class="curve g0"') == first[1].count('class="curve g1"') == n
    assert "audio</li>" in first[1]
    assert "</li>" not in second[1]


def test_the_constant_answer_is_the_median_of_the_training_labels(toy_run):
    run = toy_run
    truth = run.corpus.labels("M")
    train, test = (truth[run.corpus.splits == split] for split in ("train", "test"))
    assert abs(np.median(train) - np.median(test)) > 0.05
    found = constant(fits_of(run)[0], "M")
    assert found["MAE"] == pytest.approx(np.abs(test - np.median(train)).mean())


def test_the_first_sentence_is_about_what_validation_chose(make_run):
    run = make_run()
    for fit, error in (("sf", 0.9), ("late", 0.1), ("only_t", 0.9), ("only_a", 0.1)):
        for seed in run.states[fit].checkpoint.meta["seeds"]:
            seed["scores"]["valid"]["M"]["MAE"] = error
    text = Page(render(run)).text
    assert "On 12 test utterances, late (text, audio)" in text
    assert "only_a , from audio alone, with" in text
    assert "Is late better than a single modality?" in text


def test_compares_the_chosen_fusion_with_each_single_modality(make_run):
    run = make_run()
    for fit, error in (("sf", 0.1), ("late", 0.9)):
        for seed in run.states[fit].checkpoint.meta["seeds"]:
            seed["scores"]["valid"]["M"]["MAE"] = error
    tables = {n: run.states[n].checkpoint.predictions() for n in ("sf", "only_t", "only_a")}
    for name, table in tables.items():  # 'sims' clips both
        tables[name] = table.assign(
            prediction=table["prediction"].clip(-1, 1), truth=table["truth"].clip(-1, 1)
        )
    text = Page(render(run)).text
    videos = tables["sf"].drop_duplicates("id").set_index("id", drop=False)["id"].str[:8]
    duels = {
        single: compare(tables["sf"], tables[single], "M", groups=videos, least=8)
        for single in ("only_t", "only_a")
    }
    adjusted = holm([found.p_groups for found in duels.values()])
    for (single, found), p in zip(duels.items(), adjusted, strict=True):
        assert found.difference == pytest.approx(
            np.mean([s["MAE"] for s in mae_of(run, "sf")])
            - np.mean([s["MAE"] for s in mae_of(run, single)])
        )
        assert (found.groups, found.flipped) == (12, 2)
        assert found.p_groups >= 0.5  # of two videos
        ends = f"{number(found.low)} to {number(found.high)}"
        tests = f"p {p_value(found.p_groups)} p {p_value(p)} t = {number(found.t)}, "
        tests += f"p {p_value(found.p_t)} p {p_value(found.p_permutation)} p"
        assert f"{single} 12 {number(found.difference)} {ends} {tests}" in text
    assert "The permutation test flips the signs of 2 whole videos, and the interval is" in text
    assert "bootstrap over utterances, as there are too few videos to be drawn" in text
    assert "take it as a hint, not as a finding" in text
    assert "Holm: p of the permutation test, adjusted for there being 2 rows; the other" in text


def mae_of(run, fit):
    seeds = run.states[fit].checkpoint.meta["seeds"]
    return [seed["scores"]["test"]["M"] for seed in seeds]


def test_speakers_are_drawn_whole_where_there_are_enough(make_run, make_corpus):
    nodes = {
        "text": {"extract": "vader"},
        "audio": {"extract": "librosa-33"},
        "only_t": {"fit": "unimodal", "on": ["text"], "tasks": ["M"], "seeds": 2},
        "sf": {"fit": "sf", "on": ["text", "audio"], "tasks": ["M"], "seeds": 2},
    }
    corpus = make_corpus(600)
    text = Page(render(make_run(nodes, corpus))).text
    assert "permutation test flips the signs of 20 whole speakers, and the interval is" in text
    assert "bootstrap over whole speakers. By utterance: a paired t-test" in text
    assert "take it as a hint" not in text
    assert "Against only_t, interval and permutation test agree: on this split, sf is ahead" in text
    frame = corpus.to_frame().assign(speaker="")
    corpus = type(corpus).from_columns(frame, name="toy", family="sims")
    text = Page(render(make_run(nodes, corpus, name="unknown-speakers"))).text
    assert "permutation test flips the signs of 20 whole videos, and the interval is" in text
    assert "bootstrap over whole videos. By utterance" in text


@pytest.mark.parametrize(
    ("low", "high", "p", "verdict"),
    [
        (-0.2, -0.1, 0.04, "fusion"),
        (0.1, 0.2, 0.04, "single"),
        (-0.2, -0.1, 0.058, "open"),
        (0.1, 0.2, 0.058, "open"),
        (-0.2, 0.1, 0.04, "open"),
        (-0.1, -0.1, math.nan, "open"),
    ],
)
def test_nobody_is_ahead_unless_interval_and_test_agree(low, high, p, verdict):
    for other in (1e-9, 1.0):  # tests over utterances have no say
        paired = Comparison(10, (low + high) / 2, low, high, -2.0, other, other, p, 10, 5)
        assert Duel(None, None, paired, other).verdict == verdict


def test_an_adjusted_p_decides_where_there_are_several_duels():
    paired = Comparison(10, -0.2, -0.3, -0.1, -2.0, 0.03, 0.03, 0.03, 10, 10)
    assert Duel(None, None, paired, 0.5, p_holm=0.06).verdict == "open"
    assert Duel(None, None, paired, 0.5, p_holm=0.04).verdict == "fusion"


def test_an_open_duel_says_so(make_run, monkeypatch):
    paired = Comparison(12, -0.15, -0.2, -0.1, -2.0, 1e-9, 1e-9, 0.058, 12, 12)
    monkeypatch.setattr(fits, "compare", lambda *_, **__: paired)
    text = Page(render(make_run())).text
    assert "this split does not show which is better" in text
    assert "is ahead" not in text


def test_a_damaged_shard_does_not_stop_the_report(make_run):
    def origins(mark):
        raise Damaged(f"shard of {EVIL} is damaged")

    run = make_run()
    run.store.origins = origins
    html = render(run)
    assert EVIL not in html
    text = Page(html).text
    assert f"versions unknown : shard of {EVIL} is damaged" in text
    assert "mixed versions" not in text


def test_says_how_many_rows_each_metric_saw(toy_run, page):
    corpus = toy_run.corpus
    weak = int((abs(corpus.labels("M")[corpus.splits == "test"]) <= 0.41).sum())
    assert f"Acc2_weak ↑ larger is better n = {weak}" in page.text
    assert "12 of 12 utterances labelled" in page.text
    assert "text in 1 utterance" in page.text  # masked on the test split


def test_a_label_that_is_missing_is_not_counted(make_run, make_corpus):
    frame = make_corpus().to_frame()
    frame.loc[len(frame) - 1, "M"] = math.nan
    corpus = type(make_corpus()).from_columns(frame, name="toy", family="sims")
    text = Page(render(make_run(corpus=corpus))).text
    assert "11 of 12 utterances labelled" in text
    assert "On 11 test utterances" in text


def test_one_seed_has_no_deviation_and_says_so(make_run):
    nodes = {
        "text": {"extract": "vader"},
        "only_t": {"fit": "unimodal", "on": ["text"], "tasks": ["M"], "seeds": 1},
    }
    text = Page(render(make_run(nodes))).text
    assert "One seed only, so no deviation can be given: only_t" in text
    assert "±" not in text.partition("Corpus ")[0].replace("Mean ± standard deviation", "")


def test_a_run_without_fits_has_everything_but_scores(make_run):
    page = Page(render(make_run({"text": {"extract": "vader"}})))
    assert "Scores" not in page.text
    assert "Learning curves" not in page.text
    assert "This run made 60 features and trained 0 models" in page.text
    assert "Labels by split" in page.text


def test_fits_that_are_not_trained_are_told_apart(make_run):
    run = make_run(trained=False)
    run.errors["sf"] = "split 'valid' has no utterance with a label"
    run.states["late"].waits_for = ("h_pair",)
    text = Page(render(run)).text
    assert "None of this recipe’s 5 fits is trained" in text
    assert "1 fit could not be trained" in text
    assert "split 'valid' has no utterance with a label" in text
    assert "waits for h_pair" in text
    assert "not trained" in text


def test_a_corpus_without_labels_can_be_reported(make_run, make_corpus):
    corpus = make_corpus(tasks=(), family="")
    text = Page(render(make_run({"text": {"extract": "vader"}}, corpus))).text
    assert "60 utterances" in text
    assert "Labels by split" not in text


def test_an_empty_corpus_can_be_reported(make_run, make_corpus):
    corpus = make_corpus(0)
    text = Page(render(make_run({"text": {"extract": "vader"}}, corpus))).text
    assert "0 of 0" in text


def test_a_node_at_which_all_failed_is_listed_up_to_a_limit(make_run, make_corpus, fail):
    corpus = make_corpus(1000)
    failed = {"audio": {i: fail(i, "audio", corpus) for i in range(1000)}}
    page = Page(render(make_run({"audio": {"extract": "librosa-33"}}, corpus, failed)))
    assert "1,000 features could not be made , in 1,000 utterances of 1,000" in page.text
    assert "1,000 × NoAudio at audio" in page.text
    assert "The first 200 are listed" in page.text
    assert "0 of 1,000" in page.text
    assert page.text.count("the file has no audio stream") == 200


def test_a_failure_is_told_where_it_began(make_run, make_corpus, fail):
    corpus = make_corpus()
    failed = {
        "audio": {3: fail(3, "audio", corpus)},
        "text": {3: fail(3, "text", corpus, "UpstreamFailed", "'audio' failed: no audio")},
    }
    text = Page(render(make_run(corpus=corpus, failed=failed))).text
    assert "video_00/0003 audio NoAudio : the file has no audio stream" in text
    assert "UpstreamFailed" not in text


def test_the_corpus_note_stands_at_the_top_and_at_the_end(make_run, make_corpus):
    html = render(make_run(corpus=make_corpus(note="synthetic, says nothing about people")))
    body = html.partition("<body>")[2]
    assert "Synthetic, says nothing about people." in body.partition("<nav")[0]
    assert "Synthetic, says nothing about people." in body.rpartition("<footer>")[2]


def test_text_of_strangers_is_escaped(make_run, make_corpus, fail):
    frame = make_corpus().to_frame()
    frame["id"] = [EVIL + str(i) for i in range(len(frame))]
    frame.loc[0, "split"] = EVIL
    about = {"name": EVIL, "note": EVIL, "notes": [EVIL], "family": "sims"}
    corpus = type(make_corpus()).from_columns(frame, **about)
    failed = {"audio": {3: fail(3, "audio", corpus, EVIL, EVIL)}}
    run = make_run(corpus=corpus, failed=failed, name=EVIL, paper=EVIL, about=EVIL)
    run.errors[EVIL] = EVIL
    run.store.origins = lambda mark: [{"libraries": {EVIL: EVIL}}]
    html = render(run)
    page = Page(html)
    assert "script" not in page.tags
    assert EVIL not in html
    assert page.text.count(EVIL) > 8


def test_loads_nothing_and_runs_nothing(html, page):
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    assert not re.search(r"https?:|url\(|@import|javascript:", html)
    for _, name, value in page.attributes:
        assert name not in ("src", "srcset", "data", "action")
        assert not name.startswith("on")
        if name == "href":
            assert value.startswith("#")
    assert ("meta", "content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes


def test_every_link_has_its_target(page):
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    for _, name, value in page.attributes:
        if name == "href":
            assert value[1:] in ids
        if name == "aria-labelledby":
            assert value in ids


def test_charts_and_tables_can_be_read_aloud(page):
    assert page.tags.count("svg") > 10
    figures = [v for tag, name, v in page.attributes if (tag, name) == ("svg", "aria-label")]
    legends = 6
    assert len(figures) == page.tags.count("svg") - legends
    assert "Corr on the test split, mean over seeds: only_t " in " ".join(figures)
    assert sum((tag, name) == ("th", "scope") for tag, name, _ in page.attributes) == (
        page.tags.count("th")
    )


def test_charts_take_no_colour_of_their_own(page):
    inside = {name for tag, name, _ in page.attributes if tag in ("path", "circle", "rect", "text")}
    assert not {"fill", "stroke", "color"} & inside


def test_says_how_to_run_it_again(toy_run, page):
    assert "affectflow run recipe.yaml --cache" in page.text
    assert '"extract": "librosa-33"' in page.text
    for state in toy_run.states.values():
        assert state.fingerprint in page.text
    assert toy_run.corpus.digest() in page.text
    assert "pair: seed 0 on 2 threads" in page.text


def test_says_what_made_the_features(make_run):
    run = make_run()
    run.store.origins = lambda mark: [{"libraries": {"librosa": v}} for v in ("0.10.2", "0.11.0")]
    text = Page(render(run)).text
    assert "librosa 0.10.2 librosa 0.11.0" in text
    assert "mixed versions" in text
    assert "n_mfcc=20" in text
    assert "1 min 3 s" in text


def test_is_bounded_for_a_large_corpus(make_run, make_corpus):
    nodes = {
        "text": {"extract": "vader"},
        "audio": {"extract": "librosa-33"},
        "only_t": {"fit": "unimodal", "on": ["text"], "tasks": ["M"], "seeds": 2},
        "sf": {"fit": "sf", "on": ["text", "audio"], "tasks": ["M"], "seeds": 2},
    }
    html = render(make_run(nodes, make_corpus(20_000)))
    assert len(html) < 300_000
    assert "400 of 4,000 utterances, drawn at random" in html


def test_needs_no_torch_and_no_matplotlib():
    code = (
        "import sys; import affectflow.workflows.report.page; "
        "sys.exit(bool({'torch', 'matplotlib', 'transformers', 'librosa'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_times_and_p_values_are_for_people():
    assert [seconds(v) for v in (None, 0.44, 9.96, 61, 3601)] == [
        "–",
        "0.4 s",
        "10 s",
        "1 min 1 s",
        "1 h 0 min",
    ]
    assert [p_value(v) for v in (0.0, 0.0312, math.nan)] == ["< 0.001", "= 0.031", "= –"]


def test_a_note_becomes_a_sentence():
    assert [sentence(t) for t in ("synthetic ", "Made up.")] == ["Synthetic.", "Made up."]


def test_warnings_have_a_section_of_their_own_and_are_escaped(make_run, page):
    run = make_run()
    assert "made all the same" not in page.text
    ids = [f"video_00/{i:04d}" for i in range(5)]
    run.warnings = [Warned(name, "audio", "a" * 64, "00" * 16, EVIL) for name in ids]
    html = render(run)
    page = Page(html)
    assert EVIL not in html
    assert "5 warnings about 5 utterances: the features were made all the same" in page.text
    assert "video_00/0000, video_00/0001, video_00/0002 …" in page.text
    assert ("a", "href", "#warnings") in page.attributes


def test_a_node_says_which_weights_it_reads(tmp_path):
    from affectflow.extract.text.hf_tokens import HfTokens
    from affectflow.workflows.report.content import _extractor

    told = _extractor(HfTokens(model="bert-base-chinese"))
    assert told.startswith("model=bert-base-chinese, revision=main, ")


def test_what_a_user_should_know_of_a_fit_is_told(make_run):
    run = make_run()
    run.states["sf"].checkpoint.meta["notes"] = ["it has <hardly> learned"]
    assert "sf : It has <hardly> learned." in Page(render(run)).text
