#!/usr/bin/env python3
"""Drives the page of `train review` in Chromium, over the pipe of its DevTools protocol; the standard library alone.

In: the address that `train review` prints, a folder for pictures. Out: light.png, dark.png, phone.png, and log.json with
the keys and milliseconds of each step. Ends with 1 where the page breaks its promises, with 77 where there is no Chromium.
Example: tests/browser/review.py 'http://127.0.0.1:8765/?token=…' /tmp/pictures --fix '*' '+'
"""
import base64, json, os, shutil, subprocess, sys, tempfile, time

MAX_KEYS = 8


class Browser:
    """One page of a Chromium without a window."""

    def __init__(self, program):
        self.profile = tempfile.mkdtemp(prefix="review-browser-")
        (here_in, there_out), (there_in, here_out) = os.pipe(), os.pipe()
        def place():
            os.dup2(there_in, 63); os.dup2(there_out, 64); os.dup2(63, 3); os.dup2(64, 4)
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--remote-debugging-pipe"]
        self.child = subprocess.Popen([program, *flags, f"--user-data-dir={self.profile}", "about:blank"],
                                      preexec_fn=place, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(there_in); os.close(there_out)
        self.read, self.write, self.number, self.events = os.fdopen(here_in, "rb", 0), here_out, 0, []
        self.rest, self.session = b"", None
        target = next(one for one in self.ask("Target.getTargets")["targetInfos"] if one["type"] == "page")
        self.session = self.ask("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.ask(domain + ".enable")

    def ask(self, method, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self.rest:
                piece = self.read.read(1 << 16)
                if not piece:
                    raise SystemExit("Chromium ended")
                self.rest += piece
            text, self.rest = self.rest.split(b"\0", 1)
            told = json.loads(text)
            if told.get("id") == self.number:
                if "error" in told:
                    raise SystemExit(f"{method}: {told['error']}")
                return told["result"]
            self.events.append(told)

    def value(self, script):
        told = self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in told:
            raise SystemExit(f"{script}: {told['exceptionDetails']}")
        return told["result"].get("value")

    def until(self, script, seconds=30):
        began = time.monotonic()
        while not self.value(script):
            if time.monotonic() - began > seconds:
                said = "\n".join(json.dumps(one["params"])[:400] for one in self.errors())
                raise SystemExit(f"this did not come true: {script}\n{said}\n" + self.value("document.body.innerText"))
            time.sleep(0.02)
        return (time.monotonic() - began) * 1000

    def errors(self):
        return [one for one in self.events if one["method"] in ("Runtime.exceptionThrown", "Page.javascriptDialogOpening")
                or one["method"] == "Log.entryAdded" and one["params"]["entry"]["level"] == "error"]

    def key(self, key, code, modifiers=0, text=""):
        number = {"Enter": 13, "Escape": 27, "Tab": 9}.get(key, ord(key[0].upper()))
        kind = "keyDown" if text else "rawKeyDown"
        for type in (kind, "keyUp"):
            self.ask("Input.dispatchKeyEvent", type=type, key=key, code=code, modifiers=modifiers, windowsVirtualKeyCode=number, text=text if type == kind else "")

    def picture(self, path, dark, size, phone=False):
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        self.ask("Emulation.setDeviceMetricsOverride", width=size[0], height=size[1], deviceScaleFactor=1, mobile=phone)
        if phone:
            # The whole page, however far a person has to scroll.
            size = (size[0], self.value("document.documentElement.scrollHeight"))
            self.ask("Emulation.setDeviceMetricsOverride", width=size[0], height=size[1], deviceScaleFactor=1, mobile=phone)
        time.sleep(0.3)
        data = self.ask("Page.captureScreenshot")["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))

    def close(self):
        self.child.kill(); self.child.wait(); shutil.rmtree(self.profile, ignore_errors=True)


CONTRAST = """(() => {
  const parse = (text) => (text.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((one) => { one /= 255; return one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4; })
    .reduce((sum, one, at) => sum + one * [0.2126, 0.7152, 0.0722][at], 0);
  const back = (node) => { for (; node; node = node.parentElement) { const color = parse(getComputedStyle(node).backgroundColor); if (color.length < 4 || color[3] > 0.99) return color; } return [255, 255, 255]; };
  const bad = [];
  for (const node of document.querySelectorAll("body *")) {
    if (!node.offsetParent || node.tagName === "TEXTAREA" || node.disabled || ![...node.childNodes].some((one) => one.nodeType === 3 && one.data.trim())) continue;
    const [one, other] = [light(parse(getComputedStyle(node).color)), light(back(node))].sort((a, b) => b - a);
    if ((one + 0.05) / (other + 0.05) < 4.5) bad.push(node.tagName + "." + node.className + ": " + node.textContent.slice(0, 30));
  }
  return bad;
})()"""
UNLABELLED = """[...document.querySelectorAll("button, input, select, textarea, [role=listbox], progress")].filter((node) =>
  !(node.textContent.trim() || node.getAttribute("aria-label") || (node.labels && node.labels.length))).map((node) => node.outerHTML)"""


def main():
    address, folder = sys.argv[1], sys.argv[2]
    old, new = sys.argv[sys.argv.index("--fix") + 1:][:2] if "--fix" in sys.argv else ("*", "+")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not program:
        print("SKIPPED, not tested: the page in a browser: there is no Chromium", file=sys.stderr)
        raise SystemExit(77)
    os.makedirs(folder, exist_ok=True)
    page, log, faults = Browser(program), {}, []
    try:
        page.ask("Emulation.setDeviceMetricsOverride", width=1440, height=900, deviceScaleFactor=1, mobile=False)
        page.ask("Page.navigate", url=address)
        page.until("document.body && document.body.dataset.ready === 'yes'")
        page.until("document.querySelector('#model-state').textContent.includes('✗')")
        log["selected"] = page.value("(() => { const a = document.querySelector('textarea'); return a.value.slice(a.selectionStart, a.selectionEnd); })()")
        for name, dark, size, phone in [("light", False, (1440, 900), False), ("dark", True, (1440, 900), False), ("phone", False, (390, 844), True)]:
            page.picture(f"{folder}/{name}.png", dark, size, phone)
            faults += [f"{name}: contrast of {one}" for one in page.value(CONTRAST)]
            wide = page.value("document.documentElement.scrollWidth - window.innerWidth")
            faults += [f"{name}: {wide} pixels too wide"] if wide > 0 else []
        page.ask("Emulation.setDeviceMetricsOverride", width=1440, height=900, deviceScaleFactor=1, mobile=False)
        faults += [f"no label: {one}" for one in page.value(UNLABELLED)]
        # A person replaces the token that is selected, runs the tests and stores the fix.
        page.value("document.querySelector('textarea').focus()")
        first = page.value("item.id")
        keys = 0
        for letter in new:
            page.key(letter, "", text=letter); keys += 1
        page.key("Enter", "Enter", modifiers=2); keys += 1
        log["tests_ms"] = page.until("document.querySelector('#fix-state').textContent.includes('✓')")
        page.picture(f"{folder}/passed.png", False, (1440, 900))
        page.key("Enter", "Enter", modifiers=2); keys += 1
        log["stored_ms"] = page.until(f"item.id !== {first} || !document.querySelector('#banner').hidden")
        log["keys"], log["counted"] = keys, page.value(f"ask('/api/item/{first}?' + query({{}})).then((one) => one.verdict.keys)")
        log["kind"] = page.value(f"ask('/api/item/{first}?' + query({{}})).then((one) => one.verdict.kind)")
        # The next items, one after the other.
        page.value("document.activeElement.blur()")
        for _ in range(5):
            page.key("j", "KeyJ", text="j"); time.sleep(0.25)
        log["view_ms"] = [round(one) for one in page.value("performance.getEntriesByName('view').map((one) => one.duration)")]
        log["list_ms"] = page.value("""(async () => { const times = []; for (const part of [0.1, 0.5, 0.9]) {
            const began = performance.now(); document.querySelector('#list').scrollTop = part * document.querySelector('#list').scrollHeight;
            while (true) { await new Promise(requestAnimationFrame); if (document.querySelector('.row')) break; } times.push(performance.now() - began); } return times; })()""")
        log["search_ms"] = page.value("(async () => { const began = performance.now(); document.querySelector('#search').value = '9'; await relist(); return performance.now() - began; })()")
        faults += [f"the browser says: {json.dumps(one['params'])[:400]}" for one in page.errors()]
        if log["kind"] != "edit" or keys > MAX_KEYS:
            faults.append(f"{log['kind']} in {keys} keys")
    finally:
        page.close()
    with open(f"{folder}/log.json", "w") as file:
        json.dump({**log, "faults": faults}, file, indent=1)
    print(json.dumps({**log, "faults": faults}, indent=1))
    raise SystemExit(1 if faults else 0)


main()
