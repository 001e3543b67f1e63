# SPDX-License-Identifier: Apache-2.0
"""The pages in a real browser: no error, no request, charts, sorting, hover, keyboard, no sideways scrolling.

Needs Chromium and its driver (Debian: chromium, chromium-driver) and selenium; skipped without them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small_reports import HOSTILE, bundle, chain, residual

from snncc import api
from snncc.reports.document import Report

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
if not (CHROMIUM and DRIVER):
    pytest.skip("no chromium and chromedriver installed", allow_module_level=True)

# selenium leaves the driver's log stream to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    profile = tmp_path_factory.mktemp("profile")
    for word in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        f"--user-data-dir={profile}",
    ):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(str(DRIVER)))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, Path]:
    path = bundle(tmp_path_factory.mktemp("browser"), *chain(HOSTILE))
    result = api.report(path, diagnose=True, samples=32)
    assert result.folder is not None
    return result.report, result.folder / "report.html"


def show(browser: Any, page: Path, width: int = 1440, dark: bool = False) -> None:
    """Open a page at a width and in a theme; what was logged before is dropped."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [theme]})
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get_log("performance")
    browser.get(page.as_uri())


def count(browser: Any, selector: str) -> int:
    return int(browser.execute_script("return document.querySelectorAll(arguments[0]).length", selector))


def test_no_error_and_no_request(browser: Any, made: tuple[Report, Path]) -> None:
    report, page = made
    show(browser, page)
    assert browser.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = {e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"}
    assert asked <= {page.as_uri(), "data:,", "about:blank"}
    assert page.as_uri() in asked
    assert count(browser, "script") == 1
    assert browser.execute_script("return document.body.textContent").count(HOSTILE) > 1
    assert report.verdict in browser.execute_script("return document.getElementById('verdict').textContent")


def test_charts_have_their_points(browser: Any, made: tuple[Report, Path]) -> None:
    report, page = made
    show(browser, page)
    assert count(browser, "[data-chart=curve] circle.accuracy") == len(report.curves[0].points) == 8
    assert count(browser, "[data-chart=curve] circle.reference") == 8
    assert count(browser, "[data-chart=layers] circle.cumulative") == len(report.layers) == 4
    assert count(browser, "[data-chart=layers] circle.isolated") == 3
    assert count(browser, "[data-chart=attribution] rect.own") == 3
    assert count(browser, "[data-chart=histogram]") == 3
    assert count(browser, "[data-chart=raster]") == len(report.rasters) == 3
    assert count(browser, "[data-chart=graph] circle") == len(report.graph)


def test_sorting(browser: Any, made: tuple[Report, Path]) -> None:
    report, page = made
    show(browser, page)
    column = "[...document.querySelectorAll('[aria-label=layers] tbody tr')].map(r => r.cells[%d].dataset.value)"
    header = browser.find_element("xpath", "//*[@aria-label='layers']//th[.='cumulative']/button")
    values = sorted(layer.cumulative or 0.0 for layer in report.layers)
    header.click()
    assert [float(v) for v in browser.execute_script("return " + column % 3)] == values[::-1]
    header.send_keys("\ue007")  # the enter key
    assert [float(v) for v in browser.execute_script("return " + column % 3)] == values
    assert header.find_element("xpath", "..").get_attribute("aria-sort") == "ascending"
    browser.find_element("xpath", "//*[@aria-label='layers']//th[.='saturated']/button").click()
    assert browser.execute_script("return " + column % 6)[-1] == ""  # what has no number stays last


def test_hover_and_keyboard(browser: Any, made: tuple[Report, Path]) -> None:
    report, page = made
    show(browser, page)
    tip = browser.find_element("id", "tip")
    assert not tip.is_displayed()
    point = browser.find_elements("css selector", "[data-chart=curve] circle.accuracy")[5]
    webdriver.ActionChains(browser).move_to_element(point).perform()
    assert tip.is_displayed()
    assert tip.text.startswith(f"T=6: {100 * report.curves[0].points[5].value:.1f} %")
    browser.execute_script("document.querySelector('[data-chart=curve] circle.reference').focus()")
    assert tip.text.startswith(f"T=1: quantised reference {100 * report.curves[0].points[0].reference:.1f} %")
    browser.execute_script("document.querySelector('[data-chart=layers] circle.cumulative').focus()")
    assert tip.text.startswith("1 p: cumulative")
    webdriver.ActionChains(browser).send_keys("\ue00c").perform()  # escape
    assert not tip.is_displayed()


@pytest.mark.parametrize("width", [360, 1440])
@pytest.mark.parametrize("dark", [False, True])
def test_widths_and_themes(browser: Any, made: tuple[Report, Path], width: int, dark: bool) -> None:
    show(browser, made[1], width, dark)
    browser.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(15, 19, 24)" if dark else "rgb(255, 255, 255)")


#: Labels of one chart whose boxes share more than a pixel, as pairs of their texts.
OVERLAPS = """
const found = [];
for (const chart of document.querySelectorAll("svg.chart")) {
  const texts = [...chart.querySelectorAll("text")].map((t) => [t.textContent, t.getBoundingClientRect()]);
  texts.forEach(([name, a], i) => texts.slice(i + 1).forEach(([other, b]) => {
    if (Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 &&
        Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1) { found.push([name, other]); }
  }));
}
return found;
"""


@pytest.mark.parametrize("blocks", [9, 27])
def test_labels_of_deep_networks_do_not_overlap(browser: Any, tmp_path: Path, blocks: int) -> None:
    made = bundle(tmp_path, *residual(blocks, prefix="/layer1/layer1.0/"), timesteps=16)
    for width in (360, 1440):
        show(browser, made / "report.html", width)
        browser.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")
        assert browser.execute_script(OVERLAPS) == []
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    tall = "[...document.querySelectorAll('[aria-label=layers] tbody tr')].map(r => r.offsetHeight)"
    assert len(set(browser.execute_script("return " + tall))) == 1  # each layer on one line
    assert browser.execute_script(
        "const box = document.querySelector('[aria-label=layers]'); return box.scrollWidth <= box.clientWidth"
    )  # the whole table is seen at once


def test_the_comparison(browser: Any, tmp_path: Path) -> None:
    model, data = chain()
    found = api.compare(
        model, methods=["rate", "dnisnm"], timesteps=[2, 4, 8], calib=data, data=data, out=tmp_path / "c"
    )
    page = tmp_path / "c" / "compare.html"
    for width in (360, 1440):
        show(browser, page, width)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.get_log("browser") == []
    assert count(browser, "[data-chart=compare] circle") == len(found.comparison.entries) == 6
