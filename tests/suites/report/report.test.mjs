// SPDX-License-Identifier: MIT
// Opens the page that report.py makes in a real Chromium: every cell, at the widths of a phone and
// of a desk, in light and dark, with and without JavaScript. Prints the
// test-anything protocol. Called by `make test-report`, which makes the pages and installs
// playwright-core.
//
//   node report.test.mjs FOLDER      FOLDER has large.json, medium.json and hostile.json, and gets
//                                    the pages and screenshots
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const here = path.dirname(fileURLToPath(import.meta.url));
const folder = path.resolve(process.argv[2] ?? "build/test/report");
const modules = path.resolve(here, "../../../build/node/package.json");
const { chromium } = createRequire(modules)("playwright-core");

const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
];
const WIDTHS = { phone: { width: 360, height: 740 }, desk: { width: 1280, height: 900 } };
const CONTRAST_MIN = 4.5; // WCAG 2, level AA, for text

let number = 0,
  failed = 0;
const check = (name, problems) => {
  number++;
  if (problems.length) failed++;
  console.log(`${problems.length ? "not ok" : "ok"} ${number} - ${name}`);
  for (const each of problems.slice(0, 12))
    console.log(`#   ${String(each).slice(0, 300).replaceAll("\n", " ")}`);
  if (problems.length > 12) console.log(`#   and ${problems.length - 12} more`);
};

const python = (...args) => spawnSync(process.env.PYTHON ?? "python3", args, { encoding: "utf8" });
const make = (input, output) => python(path.join(here, "../../kit/report.py"), input, output);
const page_of = (name) => pathToFileURL(path.join(folder, `${name}.html`)).href;

// ---- what is looked at in the page (these functions run there) ----------------------------------

// The elements that stick out of the page and cannot be scrolled to.
const overflowing = (root) => {
  const width = document.documentElement.clientWidth;
  const problems = [];
  if (document.documentElement.scrollWidth > width)
    problems.push(`the page is ${document.documentElement.scrollWidth} wide, the window ${width}`);
  const visit = (element) => {
    if (!element.checkVisibility() || element.matches(".h, svg *")) return;
    const box = element.getBoundingClientRect();
    if (box.width > 0 && box.height > 0 && (box.right > width + 1 || box.left < -1))
      problems.push(
        `${element.tagName}.${element.className.baseVal ?? element.className}` +
          ` reaches from ${box.left | 0} to ${box.right | 0}`,
      );
    if (
      /auto|scroll|hidden/.test(getComputedStyle(element).overflowX) &&
      !element.matches(".sheet")
    )
      return; // scrolls by itself
    for (const child of element.children) visit(child);
  };
  const top = document.querySelector(root);
  if (top) visit(top);
  return problems;
};

// Opens every address and says what is not there. `wide` functions are handed over as text.
const openAll = async ([hrefs, overflowingText]) => {
  const overflowing = eval(overflowingText);
  const problems = [];
  for (const href of hrefs) {
    if (decodeURIComponent(location.hash) !== href) {
      const changed = new Promise((resolve) =>
        addEventListener("hashchange", resolve, { once: true }),
      );
      location.hash = href;
      await changed;
    }
    const target = document.getElementById(href.slice(1));
    const sheet = target?.closest(".sheet");
    const seen = (selector) =>
      [...(sheet?.querySelectorAll(selector) ?? [])].some(
        (each) => each.checkVisibility() && each.getBoundingClientRect().height > 0,
      );
    if (!target || !sheet) problems.push(`${href}: leads nowhere`);
    else if (!target.checkVisibility() || target.getBoundingClientRect().height === 0)
      problems.push(`${href}: is not shown`);
    else if (!seen("h2") || !seen(".close"))
      problems.push(`${href}: has no title or cannot be closed`);
    else if (target.closest(".variant")) {
      if (!seen(".given pre")) problems.push(`${href}: shows no program`);
      if (!target.querySelector(".verdict").checkVisibility())
        problems.push(`${href}: shows no verdict`);
      const drawn = target.closest(".variant").querySelector(".trace");
      if (drawn && !(drawn.checkVisibility() && seen(".variant .timeline, .variant .none")))
        problems.push(`${href}: shows no trace or no timeline`);
      const others = [...sheet.querySelectorAll(".result")].filter(
        (each) => each !== target && each.checkVisibility(),
      );
      if (others.length) problems.push(`${href}: shows ${others[0].id} too`);
    } else if (!seen("blockquote.law") || !target.querySelector("li a")?.checkVisibility())
      problems.push(`${href}: shows no clause or no case`);
    problems.push(
      ...overflowing(`[id="${CSS.escape(sheet?.id ?? "")}"]`).map((each) => `${href}: ${each}`),
    );
  }
  return problems;
};

const structure = () => {
  const problems = [];
  const ids = new Set();
  for (const each of document.querySelectorAll("[id]")) {
    if (ids.has(each.id)) problems.push(`the id ${each.id} is there twice`);
    ids.add(each.id);
  }
  for (const each of document.querySelectorAll("a[href]"))
    if (!each.getAttribute("href").startsWith("#") || !ids.has(each.getAttribute("href").slice(1)))
      problems.push(`${each.getAttribute("href")} leads nowhere`);
  for (const each of document.querySelectorAll("main td.v > *"))
    if (!each.getAttribute("aria-label")) problems.push("a cell without a name");
  for (const each of document.querySelectorAll("main table"))
    if (
      !each.caption ||
      !each.querySelector("thead th[scope=col]") ||
      !each.querySelector("tbody th[scope=row]")
    )
      problems.push("a table without headers or caption");
  if (
    document.querySelectorAll("script").length !== 1 ||
    document.querySelectorAll("img, iframe, object, link:not([rel=icon])").length
  )
    problems.push("foreign elements");
  if (window.pwned !== undefined) problems.push("a string of the input was executed");
  return problems;
};

// Colours of what is shown against what is behind them.
const contrast = (least) => {
  const parse = (colour) => colour.match(/[\d.]+/g).map(Number);
  const light = (colour) => {
    const [r, g, b] = colour.map((c) =>
      (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4,
    );
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const over = (top, below) => {
    const a = top[3] ?? 1;
    return [0, 1, 2].map((i) => top[i] * a + below[i] * (1 - a));
  };
  const behind = (element) => {
    if (!element) return [255, 255, 255];
    const own = parse(getComputedStyle(element).backgroundColor);
    return (own[3] ?? 1) === 1 ? own : over(own, behind(element.parentElement));
  };
  const worst = new Map();
  for (const each of document.querySelectorAll("body *")) {
    if (
      !each.checkVisibility() ||
      each.closest("svg, .away") ||
      ![...each.childNodes].some((n) => n.nodeType === 3 && n.data.trim())
    )
      continue;
    const ground = behind(each),
      ink = over(parse(getComputedStyle(each).color), ground);
    const [a, b] = [light(ink), light(ground)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const key = `${each.tagName}.${each.className} in ${each.parentElement.className}`;
    if (ratio < least && !(worst.get(key) < ratio)) worst.set(key, ratio);
  }
  return [...worst].map(([key, ratio]) => `${key}: ${ratio.toFixed(2)}`);
};

// ---- the tests ----------------------------------------------------------------------------------

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: FLAGS,
});

const open = async (url, size, colorScheme, javaScriptEnabled = true) => {
  const context = await browser.newContext({
    viewport: WIDTHS[size],
    colorScheme,
    javaScriptEnabled,
    bypassCSP: false,
  });
  const page = await context.newPage();
  page.said = [];
  page.on("console", (message) => page.said.push(`console ${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => page.said.push(`error: ${error}`));
  page.on("request", (request) => {
    if (!/^(file|data):/.test(request.url())) page.said.push(`request: ${request.url()}`);
  });
  await page.goto(url);
  return page;
};
const shot = (page, name) => page.screenshot({ path: path.join(folder, `${name}.png`) });
const cells = (page) =>
  page.evaluate(() => [
    ...new Set([...document.querySelectorAll("main td.v a")].map((a) => a.getAttribute("href"))),
  ]);

// openAll and its like are evaluated by the driver, which the page's policy against foreign scripts
// does not concern; eval inside would be.
const openCells = async (page, hrefs) => {
  const inner = openAll.toString().replace("const overflowing = eval(overflowingText);", "");
  const body = `async (hrefs) => { const overflowing = ${overflowing}; const openAll = ${inner};
    return openAll([hrefs]); }`;
  return page.evaluate(`(${body})(${JSON.stringify(hrefs)})`);
};

const examine = async (name, size, scheme, which = (hrefs) => hrefs) => {
  const page = await open(page_of(name), size, scheme);
  const where = `${name}, ${size}, ${scheme}`;
  check(`${where}: nothing overflows`, await page.evaluate(overflowing, "body"));
  await shot(page, `${name}-${size}-${scheme}`);
  const hrefs = which(await cells(page));
  const problems = hrefs.length ? await openCells(page, hrefs) : ["there is no cell"];
  check(`${where}: ${hrefs.length} cells open`, problems);
  check(`${where}: readable contrast`, await page.evaluate(contrast, CONTRAST_MIN));
  check(`${where}: structure`, await page.evaluate(structure));
  check(`${where}: nothing on the console, nothing from elsewhere`, page.said);
  await page.context().close();
};

const some = (hrefs) => hrefs.filter((_, index) => index % 120 === 7);

const use = async () => {
  // by mouse and by keyboard
  const page = await open(page_of("medium"), "desk", "light");
  const problems = [];
  const expect = async (what, found) => {
    if (!(await found)) problems.push(what);
  };
  const cell = page.locator("#page\\:matrix-table td.v.fail a").first();
  await cell.scrollIntoViewIfNeeded();
  const y = await page.evaluate(() => scrollY);
  await cell.click();
  await expect("a click opens a sheet", page.locator(".sheet h2:focus").isVisible());
  await page.keyboard.press("Escape");
  await expect(
    "Escape closes it",
    page.evaluate(
      () => ![...document.querySelectorAll(".sheet")].some((each) => each.checkVisibility()),
    ),
  );
  await expect(
    "the page stays where it was",
    page.evaluate((was) => Math.abs(scrollY - was) < 2, y),
  );
  await expect(
    "the cell has the focus again",
    cell.evaluate((each) => each === document.activeElement),
  );
  await page.keyboard.press("Enter");
  await expect("Enter opens it", page.locator(".sheet h2:focus").isVisible());
  await page.locator(".sheet:has(:focus) .close").click();
  await expect(
    "the cross closes it",
    page.evaluate(
      () => ![...document.querySelectorAll(".sheet")].some((each) => each.checkVisibility()),
    ),
  );
  const rows = page.locator("main .grid tr[id]:visible");
  const before = await rows.count();
  await page.locator("input[type=search]").fill("ET-RESET");
  const found = await rows.count();
  await expect(`the filter shows ${found} of ${before} rows`, found > 0 && found < before);
  await page.locator("input[type=search]").fill("");
  await page.locator("input[type=checkbox]").check();
  await expect(
    "only rows with a difference",
    page.evaluate(() =>
      [...document.querySelectorAll("main .grid tr[id]")].every(
        (row) =>
          row.checkVisibility() ===
          !!row.querySelector(".fail, .hang, .crash, .not_strict, .unsettled"),
      ),
    ),
  );
  await page.goto(`${page_of("medium")}#ET-RESET-3`);
  await expect("a clause has an address", page.locator("section#ET-RESET-3 h2").isVisible());
  await page.evaluate(() => {
    location.hash = document.querySelector(".result.list li:nth-child(2)").parentNode.parentNode.id;
  });
  await page
    .locator(".result.list details[open] .trace, .result.list details[open] .given pre")
    .first()
    .waitFor();
  await expect(
    "the first case of a list is unfolded",
    page.locator(".result.list details[open]").first().isVisible(),
  );
  check("mouse, keyboard, filter, addresses", [...problems, ...page.said]);
  await page.context().close();
};

// The page of somebody who has one loop: a failure, a difference that the loop documents and after
// which the run goes on, and a clause that nothing could judge, as its only case failed by another
// one.
const alone = async () => {
  const data = JSON.parse(fs.readFileSync(path.join(folder, "medium.json"), "utf8"));
  const event = (at_us, kind, text, completion = null, state = null) => ({
    at_us,
    kind,
    completion,
    text,
    state,
  });
  const remark = "the run returns after 0 callbacks, 1 were asked for, and something is in use";
  const start = (wait, state) => [
    event(0, "call", "timer c0 100ms do b1 = 0", "c0", state),
    event(0, "wait", `wait ${wait} ns`),
  ];
  const expected = [
    ...start(99300000, "adding"),
    event(0, "world", "world: wakeup"),
    event(0, "wait", "wait 99300000 ns"),
    event(99300, "callback", "callback c0 0", "c0", "dead"),
    event(99300, "call", "run once = 0, 0 active"),
  ];
  const seen = [
    ...start(100000000, "in_use"),
    event(1, "world", "world: wakeup"),
    event(1, "call", "run once = 0"),
  ];
  const clauses = ["ET-TICK-5", "ET-RUN-2", "ET-WAKE-1"];
  const result = (id, verdict, observed, message = "") => ({
    subject: "bravo",
    case: id,
    verdict,
    message,
    signal: null,
    expected,
    observed,
    program: null,
    clause: verdict === "pass" ? null : "ET-RUN-2",
    kind: verdict === "pass" ? null : "woken",
  });
  data.subjects = data.subjects.filter((each) => each.name === "bravo");
  data.cases = ["stops", "goes-on", "passes"].map((id) => ({
    id,
    title: id,
    description: "",
    program: "main",
    clauses: id === "stops" ? clauses : ["ET-RUN-2"],
  }));
  data.cases.push(
    ...[...Array(40)].map((_, i) => ({
      id: `no-${i}`,
      title: "",
      description: "",
      program: "main",
      clauses: ["ET-TIMER-1"],
    })),
  );
  data.results = [
    result("passes", "pass", seen),
    result(
      "goes-on",
      "not_strict",
      [...seen, event(1, "state", remark), ...expected.slice(4)],
      `${remark}; documented: it says so`,
    ),
    result("stops", "fail", [...seen, event(1, "end", remark)], remark),
  ];
  fs.writeFileSync(path.join(folder, "alone.json"), JSON.stringify(data));
  const { status, stderr } = make(path.join(folder, "alone.json"), path.join(folder, "alone.html"));
  const problems = status === 0 ? [] : [stderr];
  for (const [size, width, height] of [
    ["phone", 390, 844],
    ["desk", 1280, 900],
  ]) {
    const page = await open(page_of("alone"), "phone", "light");
    await page.setViewportSize({ width, height });
    await page.reload();
    const expect = (what, found) => {
      if (!found) problems.push(`${size}: ${what}`);
    };
    await shot(page, `alone-${size}`);
    const first = page.locator(".differences li a").first();
    const box = await first.boundingBox();
    expect(
      "the worst difference is on the first screen",
      (await first.textContent()).includes("stops") && box.y + box.height < height,
    );
    expect("the filter is on", await page.locator("input[type=checkbox]").isChecked());
    const rows = await page.evaluate(() =>
      [...document.querySelectorAll("main .grid tr[id]")]
        .filter((row) => row.checkVisibility())
        .map((row) => row.id.slice(4)),
    );
    expect(
      `the rows are those that differ or were never judged, not ${rows}`,
      rows.sort().join() === "ET-RUN-2,ET-TICK-5,ET-WAKE-1,goes-on,stops",
    );
    expect(
      "the head of the only column lies",
      await page
        .locator("#page\\:matrix-table thead th:not(.corner) span")
        .evaluate((each) => getComputedStyle(each).writingMode === "horizontal-tb"),
    );
    expect(
      "the legend knows documented differences",
      (await page.locator(".legend dd").nth(1).textContent()).includes("announces"),
    );
    await first.click();
    await page.waitForFunction(() => document.querySelector(".sheet h2:focus"));
    await shot(page, `alone-${size}-case`);
    expect(
      "the cross covers no verdict",
      await page.evaluate(() => {
        const sheet = document.activeElement.closest(".sheet");
        const [a, b] = [sheet.querySelector(".close"), sheet.querySelector(".result .verdict")].map(
          (each) => each.getBoundingClientRect(),
        );
        return a.right <= b.left || a.bottom <= b.top || b.bottom <= a.top;
      }),
    );
    // Where it breaks is what the judge said, and nothing else is coloured.
    for (const [id, row, word] of [
      ["stops", 7, "It breaks"],
      ["goes-on", 5, "not strict"],
      ["passes", 0, "Nothing here"],
    ]) {
      const found = await page.evaluate((id) => {
        const trace = document
          .querySelector(`[id="${id}/bravo"]`)
          .closest(".variant")
          .querySelector(".trace");
        location.hash = `${id}/bravo`;
        const coloured = [...trace.querySelectorAll("tbody tr")].filter(
          (each) => getComputedStyle(each).backgroundColor !== "rgba(0, 0, 0, 0)",
        );
        return {
          caption: trace.caption.textContent,
          rows: coloured.map(
            (each) => `${each.cells[0].textContent}: ${each.cells[3].textContent}`,
          ),
          signs: trace.closest(".variant").querySelectorAll(".sign.broke").length,
          differ: trace.querySelectorAll("tr.other").length,
        };
      }, id);
      const right =
        row === 0
          ? found.rows.length === 0 && found.signs === 0
          : found.rows.length === 1 &&
            found.rows[0].startsWith(`${row}:`) &&
            found.rows[0].includes(remark) &&
            found.signs === 1 &&
            found.caption.includes(`row ${row},`);
      expect(
        `${id} breaks in row ${row}, not in ${JSON.stringify(found)}`,
        right && found.differ > 0,
      );
      expect(
        `${id} says what is expected`,
        found.caption.includes(word) && found.caption.includes("Etalon’s own loop"),
      );
    }
    problems.push(...page.said);
    await page.context().close();
  }
  check("the page of one loop: what differs comes first, and where it breaks", problems);
};

const withoutScript = async () => {
  for (const size of Object.keys(WIDTHS)) {
    const page = await open(page_of("medium"), size, "light", false);
    const problems = await page.evaluate(overflowing, "body");
    if (await page.locator(".filter").isVisible())
      problems.push("the filter, which would do nothing, is shown");
    for (const selector of [
      "#page\\:matrix-table td.v.fail a",
      "#page\\:matrix-table td.v.pass a:has(small)",
      "#page\\:cases-table td.v.pass a",
    ]) {
      const cell = page.locator(selector).first();
      const href = await cell.getAttribute("href");
      await cell.click();
      const target = page.locator(`[id="${href.slice(1)}"]`);
      if (!(await target.isVisible())) problems.push(`${href} does not open`);
      problems.push(...(await page.evaluate(overflowing, `.sheet:has([id="${href.slice(1)}"])`)));
      await page.locator(`.sheet:has([id="${href.slice(1)}"]) .close`).click();
      if (await target.isVisible()) problems.push(`${href} does not close`);
    }
    check(`without JavaScript, ${size}: the matrix and its cells`, [...problems, ...page.said]);
    await page.context().close();
  }
};

// The checks above must be able to fail: pages that were broken on purpose.
const broken = async () => {
  const page = fs.readFileSync(path.join(folder, "medium.html"), "utf8");
  const spoil = async (name, change, look) => {
    const changed = change(page);
    if (changed === page)
      return check(`a page with ${name} is found`, ["the page could not be spoilt"]);
    fs.writeFileSync(path.join(folder, "spoilt.html"), changed);
    const opened = await open(page_of("spoilt"), "phone", "light");
    check(`a page with ${name} is found`, (await look(opened)).length ? [] : ["nothing was found"]);
    await opened.context().close();
  };
  const opens = async (opened) => openCells(opened, (await cells(opened)).slice(0, 3));
  await spoil(
    "an error in its script",
    (text) => text.replace('"use strict";', '"use strict"; nonsense();'),
    (opened) => opened.said,
  );
  await spoil(
    "something too wide",
    (text) => text.replace("<main>", '<main><p><svg width="500" height="9"></svg></p>'),
    (o) => o.evaluate(overflowing, "body"),
  );
  await spoil(
    "cells that do not open",
    (text) => text.replaceAll("-ADD-", "-BAD-").replaceAll('id="', 'id="x'),
    opens,
  );
  await spoil(
    "sheets that stay hidden",
    (text) =>
      text
        .replace("<main>", '<main hidden id="x">')
        .replaceAll('class=paper', 'class="paper" hidden'),
    opens,
  );
  await spoil(
    "an address that leads nowhere",
    (text) => text.replace('href="#ET-', 'href="#XT-'),
    (o) => o.evaluate(structure),
  );
  await spoil(
    "text from the input that is not escaped",
    (text) => text.replace("<main>", "<main><img src=x onerror='1'>"),
    (o) => o.evaluate(structure),
  );
};

// Bad inputs, all in one process: a Python for each would take longer than everything else here.
const refused = () => {
  const { status, stdout, stderr } = python(
    path.join(here, "refused.py"),
    path.join(folder, "medium.json"),
    folder,
  );
  const problems = stdout.split("\n").filter((line) => line.startsWith("problem: "));
  check(
    `${stdout.match(/(\d+) inputs/)?.[1]} bad inputs are refused, and nothing is half-written`,
    status || stderr ? [...problems, stderr] : problems,
  );
};

try {
  for (const name of ["large", "medium", "hostile"]) {
    const { status, stderr } = make(
      path.join(folder, `${name}.json`),
      path.join(folder, `${name}.html`),
    );
    check(`the page of ${name}.json is made`, status === 0 && !stderr ? [] : [stderr]);
  }
  refused();
  await examine("medium", "desk", "light");
  await examine("medium", "phone", "dark");
  await examine("large", "phone", "light", some);
  await examine("large", "desk", "dark", some);
  await examine("hostile", "phone", "light", (hrefs) =>
    hrefs.filter((_, index) => index % 3 === 1),
  );
  await examine("hostile", "desk", "dark", (hrefs) => hrefs.filter((_, index) => index % 5 === 3));
  await use();
  await alone();
  await withoutScript();
  await broken();
} finally {
  await browser.close();
}
console.log(`1..${number}`);
process.exitCode = failed ? 1 : 0;
