"""A real browser for tests of pages: Debian's Chromium without a screen, driven by Selenium."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["Browser", "browser_in", "chromium"]

# No window, no network beside what the page asks for, and no folder that outlives the test.
OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-quic", "--disable-extensions", "--force-device-scale-factor=1"),
)


class Browser:
    """A page in a window.

    Parameters
    ----------
    driver : selenium.webdriver.Chrome
    """

    def __init__(self, driver) -> None:
        self.driver = driver

    def open(self, page: Path, *, hash: str = "", ready: str = "") -> None:
        """Open a file, and wait until an expression in JavaScript is true."""
        self.driver.get("about:blank")
        self.driver.get(f"{page.resolve().as_uri()}{hash}")
        if ready:
            self.wait(ready)

    def wait(self, expression: str, seconds: float = 30) -> None:
        """Until an expression in JavaScript is true."""
        from selenium.webdriver.support.wait import WebDriverWait

        WebDriverWait(self.driver, seconds, 0.05).until(lambda _: self.value(expression), message=expression)

    def value(self, expression: str):
        """The value of an expression in JavaScript."""
        return self.driver.execute_script(f"return {expression}")

    def text(self, selector: str) -> str:
        """The text of the first element that a CSS selector finds, shown or not."""
        return self.driver.execute_script("return document.querySelector(arguments[0]).textContent", selector)

    def all(self, selector: str) -> list:
        """All elements that a CSS selector finds."""
        return self.driver.find_elements("css selector", selector)

    def click(self, selector: str) -> None:
        """Click on the middle of the first element that a CSS selector finds."""
        self.driver.execute_script(
            "document.querySelector(arguments[0]).scrollIntoView({block: 'center'})", selector
        )
        self.driver.find_element("css selector", selector).click()

    def click_at(self, x: float, y: float) -> None:
        """Click on a place of the window with the mouse."""
        from selenium.webdriver.common.action_chains import ActionChains

        actions = ActionChains(self.driver)
        actions.w3c_actions.pointer_action.move_to_location(round(x), round(y))
        actions.w3c_actions.pointer_action.click()
        actions.perform()

    def choose(self, selector: str, value: str) -> None:
        """Choose an option by its value."""
        from selenium.webdriver.support.select import Select

        Select(self.driver.find_element("css selector", selector)).select_by_value(value)

    def press(self, *keys: str) -> None:
        """Press keys, by their names in Selenium or as letters, wherever the focus is."""
        from selenium.webdriver.common.keys import Keys

        focused = self.driver.switch_to.active_element
        for key in keys:
            focused.send_keys(getattr(Keys, key, key))

    def resize(self, width: int, height: int) -> None:
        """Give the page a size, in pixels of a screen, whatever the window has around it."""
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )

    def picture(self, file: Path, *, whole: bool = False) -> None:
        """Save what is seen, or the whole page, as PNG."""
        import base64

        shot = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": whole})
        file.write_bytes(base64.b64decode(shot["data"]))

    def complaints(self) -> list[str]:
        """What the page has written to the console as a warning or an error since the last call."""
        return [f"{entry['level']}: {entry['message']}" for entry in self.driver.get_log("browser")]


@contextmanager
def chromium(folder: Path, *more: str, logs: tuple[str, ...] = ("browser",), driver=None) -> Iterator:
    """Chromium with all that it keeps in a folder; the test is skipped where there is none.

    Parameters
    ----------
    folder : Path
    *more : str
        Options beside `OPTIONS`.
    logs : tuple of str
        Kinds of log of which all is kept.
    driver : class, optional
        A kind of selenium's `Chrome`.
    """
    program, its_driver = (shutil.which(name) for name in ("chromium", "chromedriver"))
    if not (program and its_driver):
        pytest.skip("there is no Chromium with its driver; as root: make browser")
    webdriver = pytest.importorskip("selenium.webdriver", reason="Selenium is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for option in (*OPTIONS, *more, f"--user-data-dir={folder}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", dict.fromkeys(logs, "ALL"))
    started = (driver or webdriver.Chrome)(options, webdriver.ChromeService(its_driver))
    try:
        yield started
    finally:
        started.quit()


@contextmanager
def browser_in(folder: Path) -> Iterator[Browser]:
    """A browser with all that it keeps in a folder."""
    with chromium(folder) as started:
        yield Browser(started)
