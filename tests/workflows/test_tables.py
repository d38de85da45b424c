"""What a comparison says of itself, in a terminal, as CSV, LaTeX and a page."""

import re
from html import escape

import pandas as pd
import pytest
from click.testing import CliRunner

from affectflow.train.compare import Spread
from affectflow.workflows.cli import main
from affectflow.workflows.latex import latex
from affectflow.workflows.report.page import p_value
from affectflow.workflows.report.svg import number
from affectflow.workflows.standings import Cell, compare_runs
from affectflow.workflows.tables import FILES, as_latex, explained

MODELS = {"good": ("tfn", 0.3), "poor": ("sf", 0.9), "a_b": ("mult", 0.32)}
DRAWS = 1024  # all ways to flip the 10 test videos


@pytest.fixture
def store(tmp_path, write_run):
    write_run(tmp_path, "ours-1", MODELS)
    return tmp_path


@pytest.fixture
def found(store):
    return compare_runs(["ours-1"], store, draws=DRAWS)


def test_says_which_p_the_mark_rests_on_and_of_what_intervals_are(found, tmp_path, write_run):
    for said in (" ".join(explained(found)), as_latex(found).replace(r"\textless{}", "<")):
        assert "by flips of the signs of 10 whole videos (all 1,024 ways): p < 0.05 after" in said
        assert "1,024 draws of 10 whole videos" in said
        assert "not adjusted) excludes 0." in said
        assert "Nothing can be marked" not in said
        assert "for independent" not in said
    write_run(tmp_path, "few-1", {"a": ("tfn", 0.3), "b": ("sf", 0.9)}, n=40)  # of 3 test videos
    few = compare_runs(["few-1"], tmp_path, draws=DRAWS)
    assert few.groups == few.n
    assert few.flipped == 3
    assert few.cells["b"]["MAE"].versus.p_groups == 2 / 2**3  # worse in each
    assert not few.cells["b"]["MAE"].versus.differs
    said = explained(few)
    assert any(
        line.startswith(
            "Nothing can be marked: flips of 3 whole videos (all 8 ways) give no p below"
        )
        and line.endswith("below 0.25, before the correction for 5 tests.")
        for line in said
    )
    assert any(
        line.startswith("The intervals draw utterances, as if those of one") for line in said
    )


def test_says_that_utterances_are_flipped_where_ids_name_no_videos(tmp_path, write_run):
    ids, splits = [f"u{i}" for i in range(90)], ["train", "valid", "test"] * 30
    write_run(tmp_path, "own-1", {"a": ("tfn", 0.3), "b": ("sf", 0.9)}, ids=ids, splits=splits)
    found = compare_runs(["own-1"], tmp_path, draws=DRAWS)
    assert found.flipped == found.groups == found.n == 30
    versus = found.cells["b"]["MAE"].versus
    assert versus.p_groups == versus.p_permutation
    said = explained(found)
    assert "flips of the signs of utterances (1,024 draws): p" in said[1]
    assert "Utterances are taken for independent: by their ids, no two are of one video." in said


def test_too_few_draws_mark_nothing_and_that_is_said(store):
    few = compare_runs(["ours-1"], store, draws=100)
    assert not any(one.differs for one in few.all_versus())
    said = "flips of 10 whole videos (100 draws) give no p below 0.0099, before the correction for"
    assert said in " ".join(explained(few))


def test_latex_has_the_best_in_bold_marks_what_differs_and_names_the_test(found):
    text = as_latex(found)
    rows = {line.split(" & ")[0].strip(): line for line in text.splitlines() if " & " in line}
    means = {name: row["MAE"].over_seeds for name, row in found.cells.items()}
    assert rf"$\mathbf{{{means['good'].mean:.3f}}} \pm {means['good'].std:.3f}$" in rows["good"]
    assert rf"${means['poor'].mean:.3f} \pm {means['poor'].std:.3f}^{{\dagger}}$" in rows["poor"]
    assert r"\dagger" not in rows[r"a\_b"].split(" & ")[2]
    assert "permutation test on the utterances' errors" in text
    assert "flips of the signs of 10 whole videos" in text
    assert "Holm's correction for all 10 tests" in text
    assert r"95 \% bootstrap interval" in text
    assert "over 3 seeds" in text
    for part in (r"\toprule", r"\midrule", r"\bottomrule"):
        assert text.count(part) == 1
    assert len({line.count(" & ") for line in rows.values()}) == 1


def test_latex_escapes_what_it_takes_for_something_else():
    assert latex(r"50% of a_b & {c} \d") == r"50\% of a\_b \& \{c\} \textbackslash{}d"


@pytest.mark.parametrize("letter", "\\&%$#_{}~^<>|`[*")
def test_no_letter_of_a_name_is_a_command_of_latex(letter):
    signs = r"\\text[a-z]+\{\}|\\[&%$#_{}]|\{[\[*]\}"  # a sign's name, escaped, in braces
    shown = latex(f"a{letter}b")
    assert re.sub(signs, "", shown) == "ab"
    assert len(shown) > len(f"a{letter}b")


def test_latex_makes_no_dash_of_hyphens_and_keeps_a_name_on_its_line():
    assert latex("a---b\n\nc 'd' e's") == "a-{}-{}-b c `d' e's"


def test_a_table_of_odd_names_and_negative_scores_has_a_row_for_each_model(tmp_path, write_run):
    write_run(tmp_path, "ours-1", {"[1cm]_x": ("tfn", 0.3), "*": ("sf", 0.9)})
    found = compare_runs(["ours-1"], tmp_path, metrics=["MAE", "Corr"], draws=DRAWS)
    poor = Cell(Spread(-0.123, 0.045, 3), -0.2, 0.1)
    found.cells["*"]["Corr"] = found.cells["[1cm]_x"]["Corr"] = poor
    lines = as_latex(found).splitlines()
    rows = lines[lines.index(r"    \midrule") + 1 : lines.index(r"    \bottomrule")]
    cell = r"$\mathbf{{-}0.123} \pm 0.045$ \\"
    assert [row.split(" & ")[0] for row in rows] == [r"    {[}1cm]\_x", "    {*}"]
    assert [row.split(" & ")[-1] for row in rows] == [cell, cell]


def test_csv_holds_every_number(found, tmp_path):
    table = pd.read_csv(FILES.write(found, tmp_path / "t.csv"))
    assert len(table) == 3 * len(found.metrics)
    row = table[(table["model"] == "poor") & (table["metric"] == "MAE")].iloc[0]
    versus = found.cells["poor"]["MAE"].versus
    assert row["p_holm"] == pytest.approx(versus.p_holm)
    assert row["p_permutation_videos"] == pytest.approx(versus.p_groups)
    assert row["p_permutation_utterances"] == pytest.approx(versus.p_permutation)
    assert row["p_paired_t"] == pytest.approx(versus.p_t)
    assert (row["difference_low"], row["difference_high"]) == pytest.approx(
        (versus.low, versus.high)
    )
    assert row["flipped"] == "10 whole videos (all 1,024 ways)"
    assert (row["n"], row["seeds"], row["draws"], row["drawn"]) == (40, 3, DRAWS, "10 whole videos")
    assert table[table["model"] == "good"]["difference"].isna().all()


def test_the_page_is_one_file_and_escapes_names(tmp_path, write_run):
    write_run(tmp_path, "ours-1", {"<b>x": ("tfn", 0.3), "y": ("sf", 0.9)}, corpus="<i>&")
    found = compare_runs(["ours-1"], tmp_path, draws=DRAWS)
    text = FILES.write(found, tmp_path / "t.html").read_text()
    assert "<b>x" not in text
    assert "&lt;i&gt;&amp;, test split" in text
    assert "src=" not in text.replace("style-src", "")
    assert text.count('role="img"') == 2 * len(found.metrics)
    assert len(text) < 150_000


def test_the_page_tells_every_test_and_which_one_the_mark_rests_on(found, tmp_path):
    text = FILES.write(found, tmp_path / "t.html").read_text()
    one = found.cells["poor"]["MAE"].versus
    row = re.search(r'<th scope="row">poor</th><td>MAE</td>(.*?)</tr>', text, re.S)[1]
    p = [p_value(v) for v in (one.p_groups, one.p_holm, one.p_permutation, one.p_welch)]
    p.insert(2, f"t = {number(one.t)}, p {p_value(one.p_t)}")
    assert re.findall(r">([^<>]*)</td>", row)[2:] == [escape(value) for value in p]
    heads = re.findall(r'<th scope="col" class="n">([^<>]*)</th>', text)
    by = "by utterance: "
    assert heads[-5:] == ["permutation", "Holm", f"{by}t-test", f"{by}permutation", "Welch, seeds"]
    assert "flips of the signs of 10 whole videos (all 1,024 ways)" in text
    assert "adjusted for all 10 tests; the mark rests on it" in text


def test_the_command_prints_the_table_and_writes_by_the_suffix(store, tmp_path):
    out = tmp_path / "t.tex"
    words = ["compare", "ours-1", "--cache", str(store), "--draws", "200", "--metric", "MAE"]
    done = CliRunner().invoke(main, [*words, "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[0].split() == ["M,", "test", "seeds", "MAE"]
    assert "Holm's correction for all 2 tests" in done.output
    assert out.read_text().startswith("% \\usepackage{booktabs}")
    done = CliRunner().invoke(main, [*words, "--out", "t.pdf"])
    assert done.exit_code == 2
    assert "written as .csv, .tex (LaTeX) or .html" in done.output
