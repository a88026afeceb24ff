"""The page: escaped, closed to the network, well formed, complete."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import re
import time
from html.parser import HTMLParser

import pytest

from components.report import data as d
from components.report.render import duration, plain_value, render_page

EVIL = '<script>alert("1")</script>'
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """Reads a page back: elements, ids, links, text; refuses unbalanced tags."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.content: dict[str, list[str]] = {}
        self.shown: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        inside = self.open[-1] if self.open else ""
        self.content.setdefault(inside, []).append(data)
        if inside not in ("style", "script"):
            self.shown.append(data)

    def text(self) -> str:
        return " ".join("".join(self.shown).replace("\u202f", " ").split())


@pytest.fixture
def evil_page(make_rows, page_data) -> str:
    rows = make_rows({EVIL: (EVIL, 0.5), "B'\"&": ("<b>", 0.2)})
    data = page_data(
        rows,
        blessing=d.Blessing(False, (EVIL,), (d.Gate(EVIL, EVIL, 0.1, EVIL, False),)),
        quality=d.Quality(
            (d.PlateQuality(EVIL, EVIL, EVIL, 2, 1, 1, 0, EVIL),),
            (d.DeadLetter(EVIL, EVIL, EVIL),),
            1,
            {EVIL: 1},
            EVIL,
            (EVIL,),
        ),
        splits=(d.SplitCount(EVIL, 1, 1, 1, 1),),
        training=d.Training(1, {"epoch": (1.0,), f"loss{EVIL}": (1.0,)}),
        config={EVIL: EVIL},
        versions={EVIL: EVIL},
        run=d.RunFacts(EVIL, EVIL, 1.0, (d.ComponentRun(EVIL, 1.0, "run"),)),
        notes=(EVIL,),
        scoring=d.Scoring(
            (d.ScoredExperiment(EVIL, EVIL, 1, 1, 1, 1, 0.5, (1,)),), 2, (EVIL,), None, EVIL
        ),
    )
    return render_page(data)


def test_text_from_metadata_is_shown_and_not_run(evil_page):
    page = Page(evil_page)
    assert [tag for tag, _ in page.elements].count("script") == 1
    assert "alert(" not in "".join(page.content["script"])
    assert EVIL in page.text()
    assert "<b>" in page.text()


def test_the_headline_too_is_escaped(make_rows, page_data):
    page = Page(render_page(page_data(make_rows({EVIL: ("A", 0.1), "B": ("A", 0.9)}))))
    assert f"Worst experiment: {EVIL}," in page.text()


def test_nothing_can_leave_the_page(rows, page_data, evil_page):
    for html in (render_page(page_data(rows)), evil_page):
        page = Page(html)
        for tag, attributes in page.elements:
            assert tag not in ("link", "iframe", "object", "embed", "img", "base", "form")
            assert not {"src", "srcset", "action", "style", "xlink:href"} & set(attributes)
            assert not [name for name in attributes if name.startswith("on")]
            if "href" in attributes:
                assert re.fullmatch(r"#[A-Za-z0-9_.-]+", attributes["href"])
        style = "".join(page.content["style"])
        assert "url(" not in style and "@import" not in style
        assert "http" not in re.sub(r"https?-equiv|http-equiv", "", html)


def test_the_policy_names_exactly_our_style_and_script(rows, page_data):
    page = Page(render_page(page_data(rows)))
    policy = next(
        a["content"] for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy and "http" not in policy
    for tag in ("style", "script"):
        digest = hashlib.sha256("".join(page.content[tag]).encode()).digest()
        assert f"{tag}-src 'sha256-{base64.b64encode(digest).decode()}'" in policy


def test_every_link_points_at_something_and_ids_are_unique(rows, page_data, evil_page):
    for html in (render_page(page_data(rows)), evil_page):
        page = Page(html)
        ids = [a["id"] for _, a in page.elements if "id" in a]
        assert len(ids) == len(set(ids))
        assert {a["href"][1:] for _, a in page.elements if "href" in a} <= set(ids)


def test_figures_of_the_run_are_on_the_page(rows, page_data):
    data = page_data(rows)
    text = Page(render_page(data)).text()
    assert "U2OS-04" in text and "180 wells" in text and "Not blessed" in text
    assert "from the cache" in text and "1 min 01 s" in text
    assert "model.widths[1, 2]" in text and "20 steps" in text
    low, high = data.headline.well.low, data.headline.well.high
    assert f"{100 * low:.1f} to {100 * high:.1f}" in text
    assert render_page(data) == render_page(data)


def test_an_experiment_without_rows_is_shown_as_such(rows, page_data):
    from components.report import scores

    lost = scores.experiments(rows, {"RPE-08": 60}, {"RPE-08": "RPE"})
    text = Page(render_page(page_data(rows, experiments=lost))).text()
    assert "RPE-08 n = 0: no site of this experiment could be scored" in text
    assert "No well could be scored in RPE-08." in text
    assert "no rows" in text


def test_an_empty_report_is_a_page_too():
    for kind in ("training", "scoring"):
        scoring = d.Scoring(no_submission_because="none.") if kind == "scoring" else None
        text = Page(render_page(d.ReportData(kind, scoring=scoring))).text()
        assert "Timings are added when a run ends" in text
    assert "No held-out experiment" in Page(render_page(d.ReportData("training"))).text()


def test_scoring_page(rows, page_data):
    from components.report import scores

    scoring = d.Scoring(scores.scored(rows), 50, ("U2OS-04_1",), 180, "")
    text = Page(
        render_page(page_data(rows, kind="scoring", headline=None, experiments=(), scoring=scoring))
    ).text()
    assert "named a treatment for 180 wells on 6 plates of 3 experiments" in text
    assert "submission.csv: 180 rows" in text
    assert "Not blessed" not in text


def test_all_of_rxrx1_renders_fast_and_small(make_rows, page_data):
    names = {f"E-{i:02d}": (("HUVEC", "RPE", "HEPG2", "U2OS")[i % 4], 0.4) for i in range(51)}
    data = page_data(make_rows(names, plates=4, wells=5))
    plates = tuple(
        d.PlateQuality(f"{n}_{p}", n, c, 616, 616, 0, 0)
        for n, (c, _) in names.items()
        for p in range(1, 5)
    )
    data = dataclasses.replace(data, quality=d.Quality(plates))
    start = time.perf_counter()
    html = render_page(data)
    assert time.perf_counter() - start < 2
    assert len(html.encode()) < 1_000_000
    assert html.count('<details class="experiment"') == 51


def test_csv_of_a_share_is_in_the_unit_of_its_heading(rows, page_data):
    data = page_data(rows)
    cells = [a for tag, a in Page(render_page(data)).elements if tag == "td" and "data-csv" in a]
    written = {float(a["data-csv"]) for a in cells if re.fullmatch(r"[0-9.]+", a["data-csv"])}
    for row in data.experiments:
        assert any(value == pytest.approx(100 * row.well.value, rel=1e-5) for value in written)


def channel(gain_db: float) -> d.ChannelRestoration:
    return d.ChannelRestoration("nuclei", 4, 20.0, 20.0 + gain_db, -0.001, 0.3, 0.5, 0.6)


def test_a_denoiser_that_does_nothing_is_called_so(rows, page_data):
    def text(*gains: float) -> str:
        channels = d.Restoration(tuple(channel(g) for g in gains), "noise", 20)
        return Page(render_page(page_data(rows, restoration=channels))).text()

    assert "in effect this denoiser does nothing" in text(-0.001, 0.05)
    assert "does nothing" not in text(-0.001, 4.0)
    assert "0.000.00 to +0.30" in text(-0.001, 4.0) and "-0.00" not in text(-0.001, 4.0)
    assert "-0.31" in text(-0.31)


def test_what_was_not_compared_stands_in_the_answer_and_among_the_thresholds(rows, page_data):
    metric = "accuracy minus the baseline's"
    gate = d.Gate(metric, "all wells", None, ">= -0.02", False, f"it reads 6 channels {EVIL}")
    text = Page(render_page(page_data(rows, blessing=d.Blessing(True, (), (), (gate,))))).text()
    assert "Blessed, but not compared with the model that was blessed before it." in text
    assert f"Not compared: it reads 6 channels {EVIL}." in text
    assert f"{metric}all wellsn/a>= -0.02not compared: it reads 6 channels" in text
    text = Page(render_page(page_data(rows, blessing=d.Blessing(False, (), (gate,))))).text()
    assert "✗ not met: it reads 6 channels" in text and "not compared" not in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (7620, "2 h 07 min"),
        (None, "n/a"),
    ],
)
def test_duration(seconds, text):
    assert duration(seconds).replace("\u202f", " ") == text


def test_values_are_written_as_in_the_configuration():
    assert [plain_value(v) for v in (True, None, [1, "a"], 0.5)] == ["true", "", "[1, a]", "0.5"]
