"""A browser for tests of pages: Debian's Chromium without a screen, driven by Selenium."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.common.exceptions import ElementClickInterceptedException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

__all__ = ["Browser", "browser_in"]

# No window, no requests beside those of the page, and no folder that outlives the tests.
OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-quic", "--disable-extensions", "--force-device-scale-factor=1", "--window-size=1440,900"),
)


class Browser(webdriver.Chrome):
    """Chromium with its console and the addresses that pages requested."""

    def open(self, page: Path, *, hash: str = "", ready: str = "document.readyState === 'complete'") -> None:
        """Open a file, and wait until an expression in JavaScript is true."""
        self.get("about:blank")
        self.get(f"{page.resolve().as_uri()}{hash}")
        self.wait(ready)

    def value(self, expression: str, *arguments: Any) -> Any:
        """The value of an expression in JavaScript."""
        return self.execute_script(f"return {expression}", *arguments)

    def wait(self, expression: str) -> None:
        """Wait until an expression in JavaScript is true."""
        self.until(lambda: self.value(expression), message=expression)

    def until(
        self, condition: Callable[[], Any], *, message: str = "", but: tuple[type[Exception], ...] = ()
    ) -> Any:
        """Wait until a function returns something true, ignoring exceptions `but`, and return it."""
        return WebDriverWait(self, 30, 0.05, but).until(lambda _: condition(), message)

    def one(self, selector: str) -> WebElement:
        return self.find_element("css selector", selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.find_elements("css selector", selector)

    def link(self, words: str) -> WebElement:
        return self.find_element("link text", words)

    def text(self, selector: str) -> str:
        """The text of the first element of a selector, shown or hidden."""
        return self.value("document.querySelector(arguments[0]).textContent", selector)

    def click(self, target: str | WebElement) -> None:
        """Click on an element where nothing covers it."""
        element = self.one(target) if isinstance(target, str) else target

        def clicked() -> bool:
            self.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
            element.click()
            return True

        self.until(clicked, but=(ElementClickInterceptedException,))

    def click_at(self, x: float, y: float) -> None:
        """Click on a place of the window."""
        actions = ActionChains(self)
        actions.w3c_actions.pointer_action.move_to_location(round(x), round(y)).click()
        actions.perform()

    def choose(self, selector: str, value: str) -> None:
        """Choose an option by its value."""
        Select(self.one(selector)).select_by_value(value)

    def press(self, *keys: str) -> None:
        """Press keys, by their names in Selenium or as letters, wherever the focus is."""
        focused = self.switch_to.active_element
        for key in keys:
            focused.send_keys(getattr(Keys, key, key))

    def resize(self, width: int, height: int) -> None:
        """Give the page a size in pixels."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def complaints(self, *levels: str) -> list[str]:
        """Messages of some levels (default: all) in the console since the last call."""
        entries = self.get_log("browser")
        return [entry["message"] for entry in entries if not levels or entry["level"] in levels]

    def requested(self) -> set[str]:
        """Addresses that pages have requested since the last call, without those of the disk and of the page."""
        messages = [json.loads(entry["message"])["message"] for entry in self.get_log("performance")]
        sent = [message for message in messages if message["method"] == "Network.requestWillBeSent"]
        addresses = {message["params"]["request"]["url"][:200] for message in sent}
        return {
            url for url in addresses if not url.startswith(("file:", "data:", "blob:", "about:", "chrome:"))
        }


@contextmanager
def browser_in(folder: Path) -> Iterator[Browser]:
    """A browser whose profile is in a folder; the test is skipped where Chromium is missing."""
    program, driver = (shutil.which(name) for name in ("chromium", "chromedriver"))
    if not (program and driver):
        pytest.skip("there is no Chromium with its driver; as root: make browser")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for option in (*OPTIONS, f"--user-data-dir={folder}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = Browser(options, webdriver.ChromeService(driver))
    try:
        yield started
    finally:
        started.quit()
