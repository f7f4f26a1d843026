"""A headless Chromium that opens pages from the file system, and what it saw."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import ElementClickInterceptedException
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from support.browser import chromium

__all__ = ["Browser", "browser"]


class Browser(webdriver.Chrome):
    """Chromium with its console and the addresses that it asked for."""

    def one(self, selector: str) -> WebElement:
        return self.find_element("css selector", selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.find_elements("css selector", selector)

    def link(self, words: str) -> WebElement:
        return self.find_element("link text", words)

    def press(self, element: WebElement) -> None:
        """Click where it can be seen: not under a heading that stays on top, nor while things move."""

        def clicked() -> bool:
            self.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
            element.click()
            return True

        self.until(clicked, but=(ElementClickInterceptedException,))

    def until(
        self, condition: Callable[[], Any], seconds: float = 20, but: tuple[type[Exception], ...] = ()
    ) -> Any:
        """Wait until something is there or true, whatever of `but` it raises before, and return it."""
        wait = WebDriverWait(self, seconds, poll_frequency=0.05, ignored_exceptions=but)
        return wait.until(lambda _: condition())

    def errors(self) -> list[str]:
        """What the console holds of errors since this was last asked."""
        return [entry["message"] for entry in self.get_log("browser") if entry["level"] == "SEVERE"]

    def asked_for(self) -> set[str]:
        """Addresses of all requests since this was last asked, up to their length in a log."""
        found = set()
        for entry in self.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                found.add(message["params"]["request"]["url"][:200])
        return found


@contextmanager
def browser(folder: Path, width: int = 1440, height: int = 900) -> Iterator[Browser]:
    """A browser with a profile in an empty folder and a window of a size."""
    size = f"--window-size={width},{height}"
    with chromium(folder, size, logs=("browser", "performance"), driver=Browser) as driver:
        # what the browser opens by itself is none of a page's
        driver.get("about:blank")
        driver.get_log("performance")
        yield driver
