"""The page of a record: complete, self-contained, readable aloud, and nothing in it that a user's code could plant."""

import json
import re
from html.parser import HTMLParser

import matplotlib
import pytest

from tests.process import REPOSITORY, assert_refused, run_script, run_script_in_fork
from train.report_page.page import report_page

from .records import HOSTILE, RECORDS, failed_record, page_of, passed_record, variable

INLINE = {"span", "code", "wbr"}
VOID = {"meta", "br", "wbr", "img", "link", "input", "hr", "base", "embed", "source"}


class Page(HTMLParser):
    """What a browser would find: each element with its attributes, and the text outside of ``<style>``."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.elements, self.texts, self.open, self.unbalanced = [], [], [], []
        self.feed(html)
        self.close()
        self.text = " ".join("".join(self.texts).split())

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)
        self.texts.append("" if tag in INLINE else " ")

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.texts.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def ids(self):
        return [attributes["id"] for _, attributes in self.elements if "id" in attributes]


@pytest.fixture(params=RECORDS)
def html(request):
    return page_of(request.param)


class TestEveryPage:
    def test_is_well_formed(self, html):
        page = Page(html)
        assert page.unbalanced == page.open == []
        assert [tag for tag, _ in page.elements].count("h1") == 1
        assert page.all("html") == [{"lang": "en"}]

    def test_needs_no_other_file_and_no_script(self, html):
        page = Page(html)
        assert not {"script", "link", "img", "iframe", "object", "embed"} & {tag for tag, _ in page.elements}
        for tag, attributes in page.elements:
            for name, value in attributes.items():
                assert not name.startswith("on"), (tag, name)
                assert name not in ("src", "srcset"), (tag, name)
                assert name != "href" or value.startswith("#"), (tag, value)
                assert not re.search(r"url\((?!#)", value or ""), (tag, value)
        style = html.partition("<style>")[2].partition("</style>")[0]
        assert "@import" not in style
        assert "url(" not in style

    def test_ids_are_unique_and_each_reference_finds_one(self, html):
        page = Page(html)
        assert len(page.ids) == len(set(page.ids))
        wanted = set()
        for _, attributes in page.elements:
            wanted.update((attributes.get("aria-labelledby") or "").split())
            wanted.update(re.findall(r"url\(#([^)]+)\)", " ".join(value or "" for value in attributes.values())))
            wanted.update([attributes["href"][1:]] if "href" in attributes else [])
        assert wanted
        assert wanted <= set(page.ids)

    def test_each_picture_has_a_text_alternative(self, html):
        for picture in re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL):
            page = Page(picture)
            (attributes,) = page.all("svg")
            assert attributes["role"] == "img"
            name, description = attributes["aria-labelledby"].split()
            for key in (name, description):
                assert re.search(rf'id="{key}">[^<]+<', picture), key

    def test_pictures_take_their_colours_from_the_page(self, html):
        """A colour of its own, black included, would be invisible on a dark page."""
        css = html.partition("<style>")[2].partition("</style>")[0]
        for picture in re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL):
            assert re.findall(r"#[0-9a-fA-F]{6}\b", picture) == []
            for name in re.findall(r"var\((--[\w-]+)\)", picture):
                assert f"{name}:" in css
            for text in re.findall(r"<text[^>]*>", picture):
                assert "fill: " in text, text

    def test_is_small(self, html):
        assert len(html.encode()) < 1_000_000

    def test_tables_say_what_heads_what(self, html):
        assert all(attributes.get("scope") in ("row", "col") for attributes in Page(html).all("th"))
        assert len(re.findall(r'<div class="scroll"', html)) == len(re.findall("<table>", html))


class TestContent:
    def test_a_passed_run(self):
        page = Page(page_of("passed"))
        assert "OK: 2 replicas compute what one device computes and stay within their memory bounds" in page.text
        for words in (
            "Peak of a replica 60 MiB of 100 MiB",
            "Test accuracy 0.9800",
            "5 passed",
            "1 check skipped",
        ):
            assert words in page.text
        assert len(page.all("svg")) == 7

    def test_a_failed_run_names_cause_evidence_place_and_remedy(self):
        page = Page(report_page(failed_record("the mean over a shard")))
        assert "FAILED: 2 replicas do not compute what one device computes (2 of 2 checks failed)" in page.text
        for words in (
            "loss_summed_over_replicas the mean over a shard",
            "Seen ratio 2 with cosine 1",
            "model.py:6 in loss: the mean over a shard",
            "Instead divide: the mean over a shard",
            "2 replicas and 1 example",
            "Run it again python main.py",
            "3 variables",
            "not_finite by what is not finite",
        ):
            assert words in page.text, words

    def test_a_failure_without_a_cause_shows_what_failed(self):
        record = failed_record("off by a factor of 3") | {"causes": [], "explanations": []}
        page = Page(report_page(record))
        assert "No cause is named" in page.text
        assert page.text.index("off by a factor of 3") < page.text.index("Checks")

    def test_a_limit_that_is_too_small_comes_with_one_that_works(self):
        record = passed_record() | {"ok": False}
        record["checks"][4] |= {"status": "failed", "observed": 120.0, "detail": "Use --memory_limit=130: it ran"}
        record["memory"] |= {"need_mib": 120.0, "advised_limit_mib": 130}
        page = Page(report_page(record))
        assert "A limit that works 130 MiB" in page.text
        assert page.text.index("Use --memory_limit=130") < page.text.index("Checks")
        assert "No cause is named" not in page.text

    def test_a_run_that_ended_early_says_why_at_the_top(self):
        page = Page(page_of("unfinished"))
        assert "Did not come to its end" in page.text
        assert page.text.index("ran out of memory under its limit of 20 MiB") < page.text.index("Checks")
        assert "No training is recorded" in page.text
        assert "No peak of a replica was measured" in page.text

    def test_says_why_there_is_no_timeline_of_a_device(self):
        assert "No line for each device" in page_of("passed")
        assert "No timeline" in page_of("unfinished")
        isolated = Page(page_of("isolated"))
        assert "No line for each device" not in isolated.text
        assert "replica 1, CPU:0: up to 41.5 MiB" in isolated.text

    def test_of_many_variables_the_worst_are_bars_and_all_are_rows(self):
        html = page_of("large")
        assert "The worst 30 of 500" in html
        assert html.count('<th scope="row"><code>model/') == 500

    def test_an_older_record_has_a_page(self):
        record = passed_record()
        del record["shards"], record["setup"], record["transport"]
        record["memory"] = {"limit_mib": None, "replicas": [{"device": "CPU:0", "peak_mib": 60.0}]}
        new = ("low_precision", "residual", "reductions")
        record["variables"] = [{name: value for name, value in variable("a").items() if name not in new}]
        assert "All 1 variable" in report_page(record)
        assert "nothing was verified" in report_page({"training": {}})

    def test_the_same_record_gives_the_same_page(self):
        assert report_page(passed_record()) == page_of("passed")


class TestWordsOfTheUser:
    def test_are_shown_and_do_nothing(self):
        page = Page(page_of("hostile"))
        assert not {"script", "img"} & {tag for tag, _ in page.elements}
        shown = HOSTILE.replace("\x00", "\ufffd")
        assert page.text.count(shown) > 8
        assert "\x00" not in page.text

    def test_a_style_of_the_users_own_changes_nothing_and_stays(self):
        with matplotlib.rc_context({"text.usetex": True, "svg.fonttype": "path", "text.color": "red"}):
            assert report_page(passed_record()) == page_of("passed")
            assert matplotlib.rcParams["text.color"] == "red"


class TestScript:
    def test_makes_the_page_of_a_record_again(self, tmp_path):
        (tmp_path / "report.json").write_text(json.dumps(passed_record()))
        result = run_script_in_fork("train/report_html.py", str(tmp_path), cwd=REPOSITORY)
        assert result.returncode == 0, result.stderr
        assert result.stdout == f"{tmp_path / 'report.html'}\n"
        assert (tmp_path / "report.html").read_text() == page_of("passed")

    def test_refuses_what_is_no_record(self, tmp_path):
        result = run_script("train/report_html.py", str(tmp_path))
        assert_refused(result, 1, "report.json cannot be read (No such file or directory)", "name a report.json")
        assert len(result.stderr.splitlines()) == 1
