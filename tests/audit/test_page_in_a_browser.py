"""The page in a real browser: what people see, click, print, and what it must never do."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from oracle.audit.findings import Mismatch
from oracle.audit.page.html import page
from oracle.audit.record import RoundRecord, scored
from oracle.core.consensus import Rule
from oracle.core.units import ONE, unpack
from tests.audit.histories import DEPLOYMENT, history, report_of
from tests.core.rounds import node_id

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

NAMES = ("chromium", "chromium-browser", "google-chrome")
EVIL = "</script><img src=http://127.0.0.1:9/x onerror=alert(1)><style>*{color:red}</style>"
ROWS = 25
BARE = "rgba(0, 0, 0, 0)"
INK = """() => [...document.querySelectorAll("canvas")].map((canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let best = [], most = 0;
  for (let i = 0; i < data.length; i += 4) {
    const strength = data[i + 3] * (1 + data[i]);
    if (strength > most) { most = strength; best = [...data.slice(i, i + 3)]; }
  }
  return best;
})"""
Opening = Callable[..., "Page"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is on PATH")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Opening]:
    """Open the page of some records; at the end, nothing may have gone wrong in any of them."""
    said: list[str] = []
    contexts: list[BrowserContext] = []

    def open_page(
        records: tuple[RoundRecord, ...] | None = None,
        mismatches: tuple[Mismatch, ...] = (),
        width: int = 1280,
        fragment: str = "",
        **options: Any,
    ) -> Page:
        records = history() if records is None else records
        file = tmp_path / f"{len(contexts)}.html"
        names = {node_id(0): EVIL}
        text = page(DEPLOYMENT, report_of(records, mismatches), records, names)
        file.write_text(text, encoding="utf-8")
        context = browser.new_context(viewport={"width": width, "height": 800}, **options)
        contexts.append(context)
        shown = context.new_page()
        shown.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        shown.on("pageerror", lambda error: said.append(f"error: {error}"))
        shown.on("dialog", lambda dialog: said.append(f"dialog: {dialog.message}"))
        shown.on(
            "request",
            lambda request: (
                None if request.url.startswith(file.as_uri()) else said.append(request.url)
            ),
        )
        shown.goto(file.as_uri() + fragment)
        return shown

    yield open_page
    for context in contexts:
        context.close()
    assert said == []


def column(shown: Page, table: str, index: int) -> list[str]:
    """The texts of a column of a table, from the top."""
    cells = shown.locator(f"{table} tbody tr > :nth-child({index + 1})")
    return [text.strip() for text in cells.all_inner_texts()]


def wait_for_column(shown: Page, table: str, index: int, numbers: Iterable[int]) -> None:
    shown.wait_for_function(
        """([rows, wanted]) => wanted.join() ===
        [...document.querySelectorAll(rows)].map((cell) => cell.innerText.trim()).join()""",
        arg=[f"{table} tbody tr > :nth-child({index + 1})", list(numbers)],
    )


def wait_for_status(shown: Page, start: str) -> None:
    shown.locator("#detail p[role=status]", has_text=start).wait_for()


def overflow(shown: Page) -> int:
    """By how many pixels the page is wider than the window."""
    wider: int = shown.evaluate("document.documentElement.scrollWidth - innerWidth")
    return max(0, wider)


def paper(shown: Page) -> str:
    colour: str = shown.evaluate("getComputedStyle(document.body).backgroundColor")
    return colour


def ink(shown: Page) -> list[list[int]]:
    """Red, green and blue of the strongest pixel of each chart; nothing drawn is `[]`."""
    drawn: list[list[int]] = shown.evaluate(INK)
    return drawn


def wait_for_other_ink(shown: Page, before: list[list[int]]) -> None:
    shown.wait_for_function(f"(before) => JSON.stringify(({INK})()) !== before", arg=json(before))


def json(pixels: list[list[int]]) -> str:
    return dumps(pixels, separators=(",", ":"))


def test_a_page_with_hostile_text_opens_quietly_and_asks_nothing_of_a_network(
    opened: Opening,
) -> None:
    wrong = Mismatch(1, None, None, "RoundOpened.uri", EVIL, EVIL, None)
    shown = opened(history(uri=EVIL), (wrong,))
    assert shown.locator("img").count() == 0
    assert EVIL in shown.locator("#detail").inner_text()
    assert EVIL in shown.locator("#mismatches").inner_text()
    assert shown.locator("h2").first.inner_text().split() == ["✗", "1", "mismatch"]
    assert shown.evaluate("getComputedStyle(document.body).color") != "rgb(255, 0, 0)"


def test_the_verdict_comes_first(opened: Opening) -> None:
    shown = opened()
    assert shown.locator("main section").first.inner_text().startswith("✓ Nothing is wrong")


def test_a_table_is_sorted_by_a_click_and_by_the_keyboard(opened: Opening) -> None:
    shown = opened()
    headings = "#node-table thead th"
    shown.locator(headings, has_text="earned").first.click()
    shown.locator(f"{headings}[aria-sort=ascending]", has_text="earned").wait_for()
    earned = [float(text.replace(",", "")) for text in column(shown, "#node-table", 1)]
    assert earned == sorted(earned) and earned[0] < earned[-1]
    shown.locator(f"{headings}[aria-sort] [role=button]").press("Enter")
    shown.locator(f"{headings}[aria-sort=descending]", has_text="earned").wait_for()
    again = [float(text.replace(",", "")) for text in column(shown, "#node-table", 1)]
    assert again == earned[::-1]


def test_a_table_is_filtered_by_what_is_typed(opened: Opening) -> None:
    shown = opened(history(12))
    wait_for_column(shown, "#round-table", 0, range(12, 0, -1))
    shown.locator("section:has(#round-table) input").fill("summarization")
    wait_for_column(shown, "#round-table", 0, range(11, 0, -2))
    shown.locator("section:has(#round-table) input").fill("cancelled")
    wait_for_column(shown, "#round-table", 0, [12])


def test_a_long_table_has_pages(opened: Opening) -> None:
    shown = opened(history(60))
    wait_for_column(shown, "#round-table", 0, range(60, 60 - ROWS, -1))
    shown.locator("section:has(#round-table) .dt-paging button", has_text="3").click()
    wait_for_column(shown, "#round-table", 0, range(60 - 2 * ROWS, 0, -1))


def test_a_round_is_chosen_by_its_link_its_name_and_its_neighbours(opened: Opening) -> None:
    shown = opened(history(6), fragment="#round-2")
    wait_for_status(shown, "Round 2 is settled: 10 items of the domain qa")
    shown.get_by_role("button", name="later").click()
    wait_for_status(shown, "Round 3 ")
    shown.get_by_label("Look at").select_option(label="Round 6, qa, cancelled")
    wait_for_status(shown, "Round 6 is cancelled")
    shown.locator("#round-table a", has_text="4").click()
    wait_for_status(shown, "Round 4 ")
    shown.go_back()
    wait_for_status(shown, "Round 6 ")


@pytest.mark.parametrize("rule", [Rule.TRUST_WEIGHTED_MEAN, Rule.MEDIAN])
def test_each_score_of_a_round_stands_beside_its_distance_from_what_judges_it(
    opened: Opening, rule: Rule
) -> None:
    records = history(3, rule=rule)
    shown = opened(records, fragment="#round-1")
    settlement = records[0].settlement
    assert settlement is not None
    values = scored(settlement)
    middle = [values.consensus]
    if rule is Rule.TRUST_WEIGHTED_MEAN:
        middle.append(values.pivot)
    table = "[aria-label='Table of the items of round 1'] table"
    for i, row in enumerate(middle, start=1):
        assert column(shown, table, i) == [f"{value / ONE:.4f}" for value in row.tolist()]
    for seat, reveal in enumerate(settlement.reveals):
        cells = [text.split() for text in column(shown, table, 1 + len(middle) + seat)]
        for item, score in enumerate(unpack(reveal.scores, 10).tolist()):
            gap = score - int(values.pivot[item])
            told = float(cells[item][1].replace("−", "-"))
            assert abs(float(cells[item][0]) - score / ONE) <= 0.0051
            assert abs(told - gap / ONE) <= 0.0051


def test_who_is_far_off_is_said_in_words_and_not_by_colour_alone(opened: Opening) -> None:
    shown = opened()
    first = shown.locator("#matrix tbody tr").first
    assert f"{node_id(1)} ▲ far off" in " ".join(first.inner_text().split())
    beyond = first.locator("td.cell", has_text="▲")
    assert beyond.count() > 0
    painted = beyond.first.evaluate("(cell) => getComputedStyle(cell).backgroundColor")
    assert painted != BARE
    seats = shown.locator(
        "[aria-label='Table of the seats of round 5'] tr", has_text=str(node_id(1))
    )
    assert "▲ beyond agreement" in " ".join(seats.first.text_content().split())  # type: ignore[union-attr]


def test_charts_are_drawn_again_when_the_colours_change(opened: Opening) -> None:
    shown = opened(color_scheme="light")
    light, bright = ink(shown), paper(shown)
    assert len(light) == 3 and all(light)
    shown.emulate_media(color_scheme="dark")
    assert paper(shown) != bright
    wait_for_other_ink(shown, light)


@pytest.mark.parametrize(("width", "scheme"), [(320, "light"), (360, "dark")])
def test_a_phone_shows_all_without_scrolling_sideways(
    opened: Opening, width: int, scheme: str
) -> None:
    wrong = Mismatch(1, None, None, "field", "0x" + 200 * "ab", "c" * 300, "0x" + "ab" * 32)
    shown = opened(history(30, 40, 7), (wrong,), width=width, color_scheme=scheme)
    assert overflow(shown) == 0
    canvas = shown.locator("canvas").first.bounding_box()
    assert canvas is not None and canvas["width"] <= width


def test_a_narrower_window_has_narrower_charts(opened: Opening) -> None:
    shown = opened()
    shown.set_viewport_size({"width": 400, "height": 800})
    shown.wait_for_function("document.querySelector('canvas').clientWidth < 400")
    assert overflow(shown) == 0


def test_print_is_light_whole_and_without_controls(opened: Opening) -> None:
    shown = opened(history(30), color_scheme="dark")
    dark = ink(shown)
    shown.emulate_media(media="print")
    wait_for_other_ink(shown, dark)
    assert len(column(shown, "#round-table", 0)) == 30
    assert paper(shown) == "rgb(255, 255, 255)"
    assert not shown.locator("#round-table_wrapper input").is_visible()
    assert not shown.locator("nav").first.is_visible()
    assert shown.pdf(format="A4").startswith(b"%PDF")
    shown.emulate_media(media="screen")
    shown.wait_for_function("document.documentElement.className === ''")
    assert len(column(shown, "#round-table", 0)) == ROWS
    assert paper(shown) != "rgb(255, 255, 255)"


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark")])
def test_no_rule_of_accessibility_is_broken(opened: Opening, width: int, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    wrong = Mismatch(1, 2, 102, "deviations[2]", "5", "6", "0x" + "ab" * 32)
    shown = opened(history(30), (wrong,), width=width, color_scheme=scheme)
    result = axe.Axe().run(shown)
    assert result.violations_count == 0, result.generate_report()


def test_without_scripts_the_verdict_and_the_tables_are_there(opened: Opening) -> None:
    shown = opened(java_script_enabled=False)
    assert "Nothing is wrong" in shown.locator("h2").first.inner_text()
    assert len(column(shown, "#round-table", 0)) == 6
    assert "poq explain" in shown.locator("section:has(#detail)").inner_text()


def test_a_hundred_rounds_of_a_thousand_items_and_eleven_seats_can_be_looked_into(
    opened: Opening,
) -> None:
    shown = opened(history(100, 1_000, 11, liars=(2, 5, 7)), fragment="#round-1", width=360)
    assert "it holds every" in shown.locator("#detail").inner_text()
    for _ in range(3):
        shown.get_by_role("button", name="later").click()
    wait_for_status(shown, "Round 4 ")
    assert len(column(shown, "[aria-label='Table of the items of round 4'] table", 0)) == ROWS
    assert overflow(shown) == 0
