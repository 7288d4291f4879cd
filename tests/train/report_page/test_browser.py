"""Pages in a real browser, where there is one: nothing on the console, nothing beyond the window, no text cut off."""

import html
import json
import re
import shutil
import subprocess

import pytest

from .records import RECORDS, page_of

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER = next((path for path in map(shutil.which, NAMES) if path), None)

pytestmark = pytest.mark.skipif(BROWSER is None, reason=f"no Chromium on the PATH ({', '.join(NAMES)})")

# Chromium makes no window narrower than 500: the pages stand in frames, and what the probe in each finds becomes an
# attribute of the document around, which --dump-dom prints.
AROUND = """<!DOCTYPE html>
<html style="color-scheme: light dark">
<script>
const found = {{}};
addEventListener('message', event => {{
  Object.assign(found, event.data);
  document.documentElement.dataset.found = JSON.stringify(found);
}});
</script>
{frames}
"""
FRAME = '<iframe src="{name}.html" style="width: {width}px; height: 2000px; border: 0"></iframe>'
PROBE = """<script>
for (const one of document.querySelectorAll('details')) one.open = true;
const beyond = box => box.right > innerWidth + 1 || box.left < -1;
const name = element => element.tagName + ' ' + element.textContent.trim().slice(0, 60);
const found = {width: innerWidth, scroll: document.scrollingElement.scrollWidth, wide: [], cut: [], empty: [], dim: []};
for (const one of document.querySelectorAll('body *'))
  if (!one.closest('.scroll *, svg *') && beyond(one.getBoundingClientRect())) found.wide.push(name(one));
for (const picture of document.querySelectorAll('svg')) {
  const box = picture.getBoundingClientRect();
  if (box.width < 200 || box.height < 40) found.empty.push(picture.id);
  for (const text of picture.querySelectorAll('text')) {
    const own = text.getBoundingClientRect();
    if (own.left < box.left - 1 || own.right > box.right + 1 || own.top < box.top - 1 || own.bottom > box.bottom + 1)
      found.cut.push(name(text));
  }
}
const light = colour => { const [r, g, b] = colour.match(/[0-9.]+/g).map(Number); return 0.3 * r + 0.6 * g + 0.1 * b; };
const paper = light(getComputedStyle(document.body).backgroundColor);
for (const text of document.querySelectorAll('p, td, th, dd, h1, h2')) {
  if (Math.abs(light(getComputedStyle(text).color) - paper) < 80) found.dim.push(name(text));
}
for (const text of document.querySelectorAll('svg text')) {
  if (Math.abs(light(getComputedStyle(text).fill) - paper) < 80) found.dim.push(name(text));
}
found.paper = paper;
parent.postMessage({[location.pathname.split('/').pop()]: found}, '*');
</script>"""


def look_at(folder, width, *options):
    """What the probe finds in each page in a window so wide; fails where the console has anything to say."""
    frames = "\n".join(FRAME.format(name=name, width=width) for name in RECORDS)
    around = folder / "around.html"
    around.write_text(AROUND.format(frames=frames))
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom"]
    command += ["--window-size=1400,2000", "--virtual-time-budget=5000", *options, around.as_uri()]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in result.stderr, result.stderr
    return json.loads(html.unescape(re.search(r'data-found="([^"]*)"', result.stdout).group(1)))


@pytest.mark.parametrize(("width", "dark"), [(390, False), (1280, True)])
def test_everything_is_visible(tmp_path, width, dark):
    for name in RECORDS:
        (tmp_path / f"{name}.html").write_text(page_of(name).replace("</body>", f"{PROBE}</body>"))
    pages = look_at(tmp_path, width, f"--blink-settings=preferredColorScheme={0 if dark else 1}")
    assert pages.keys() == {f"{name}.html" for name in RECORDS}
    for name, found in pages.items():
        assert found["width"] == width
        assert found["scroll"] <= width
        assert (found["paper"] < 80) == dark
        for fault in ("wide", "cut", "empty", "dim"):
            assert found[fault] == [], (name, fault)
