// SPDX-License-Identifier: MIT
// Makes the page of a conformance report more pleasant; it works without (report.py).
"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const byHash = () => document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const title = document.title;
  let opener = null;

  // ---- sheets ----
  const bare = (node) => { // a copy without addresses of its own
    const copy = node.cloneNode(true);
    for (const each of [copy, ...all("[id]", copy)]) each.removeAttribute("id");
    return copy;
  };

  // In the list of a clause's cases, each case opens in its place.
  const unfold = (item, open) => {
    const address = decodeURIComponent(item.querySelector("a").hash.slice(1));
    const result = document.getElementById(address);
    const details = document.createElement("details");
    const summary = details.appendChild(document.createElement("summary"));
    summary.textContent = "Program, expected and observed";
    details.addEventListener("toggle", () => {
      if (!details.open || details.children.length > 1) return;
      const [given, seen] = ["given", "seen"].map((name) =>
        Object.assign(document.createElement("div"), { className: name }));
      given.append(...all(".given > h4, .given > pre", result.closest(".sheet")).map(bare));
      const others = [...result.parentNode.children].filter((each) => !each.matches(".result"));
      seen.append(...others.map(bare));
      const own = details.appendChild(document.createElement("div"));
      own.append(given, seen);
    });
    item.append(details);
    details.open = open;
  };

  const opened = () => {
    const target = byHash();
    const sheet = target && target.closest(".sheet");
    document.title = sheet ? `${sheet.querySelector("h2").textContent} – ${title}` : title;
    if (!sheet) return;
    for (const tab of all(".tabs a", sheet)) {
      if (decodeURIComponent(tab.hash) === decodeURIComponent(location.hash))
        tab.setAttribute("aria-current", "true");
      else tab.removeAttribute("aria-current");
    }
    if (target.matches(".result.list") && !target.dataset.unfolded) {
      target.dataset.unfolded = "yes";
      all("li", target).forEach((item, index) => unfold(item, index === 0));
    }
    sheet.querySelector("h2").focus({ preventScroll: true });
  };

  const close = () => {
    const sheet = byHash()?.closest(".sheet");
    if (!sheet) return;
    const y = scrollY;
    location.hash = sheet.querySelector(".close").hash;
    if (opener && opener.isConnected) {
      scrollTo(0, y);
      opener.focus({ preventScroll: true });
    }
  };

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (link.matches(".close, .away")) {
      event.preventDefault();
      close();
    } else if (link.closest("main")) {
      opener = link;
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
  });
  addEventListener("hashchange", opened);
  opened();

  // ---- a column of the picture is a row of the table ----
  const column = 28;
  const light = (picture, number) => {
    const whole = picture.closest(".variant, details");
    for (const each of all(".lit", whole))
      each.matches("tr") ? each.classList.remove("lit") : each.remove();
    if (number === null) return null;
    const row = all(".trace tbody tr", whole).find((each) => each.cells[0].textContent === number);
    if (row) row.classList.add("lit");
    return row;
  };
  const numberAt = (picture, event) => {
    const index = Math.floor((event.clientX - picture.getBoundingClientRect().left) / column);
    const first = picture.querySelector(".numbers text");
    const columns = Math.floor(picture.getAttribute("width") / column);
    return first && index < columns ? `${Number(first.textContent) + index}` : null;
  };
  document.addEventListener("pointermove", (event) => {
    const picture = event.target.closest?.(".line");
    if (picture) light(picture, numberAt(picture, event));
  });
  document.addEventListener("click", (event) => {
    const picture = event.target.closest?.(".line");
    if (picture) light(picture, numberAt(picture, event))?.scrollIntoView({ block: "nearest" });
  });

  // ---- the filter ----
  const filter = document.querySelector(".filter");
  const [words, only] = all("input", filter);
  const count = filter.querySelector("output");
  const rows = all("main .grid tr[id]");
  for (const row of all("#page\\:matrix-table tr[id]"))
    row.querySelector("th a").title = row.dataset.find;
  const apply = () => {
    const wanted = words.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = `${row.cells[0].textContent} ${row.dataset.find}`.toLowerCase();
      const fits = wanted.every((word) => text.includes(word));
      const differs = row.querySelector(".fail, .hang, .crash, .not_strict, .unsettled");
      row.hidden = !fits || (only.checked && !differs);
      shown += !row.hidden;
    }
    for (const body of all("#page\\:matrix-table tbody"))
      body.hidden = !all("tr[id]", body).some((row) => !row.hidden);
    count.textContent = wanted.length || only.checked ? `${shown} of ${rows.length} rows` : "";
  };
  filter.addEventListener("input", apply);
  filter.addEventListener("submit", (event) => event.preventDefault());
  filter.hidden = false;
  apply(); // what the browser has kept from an earlier visit
})();
