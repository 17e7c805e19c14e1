"use strict";
// Everything that a container chose is set as textContent, never as markup.
(function () {
  const data = JSON.parse(document.getElementById("data").textContent);
  const search = document.getElementById("search"), viewer = document.getElementById("viewer"), severity = document.getElementById("severity");
  const hits = document.getElementById("hits"), filtered = document.getElementById("filtered");
  const more = document.getElementById("more"), range = document.getElementById("shown");
  const table = document.getElementById("process-table"), body = table.tBodies[0];
  const step = 200, printed = 1000;
  // Of a process: [pid, cpid, user, uid, gid, cuser, cuid, cgid, viewer, comm].
  const columns = [
    ["PID", p => p[0]], ["CPID", p => p[1]], ["USER", p => p[2]], ["UID", p => p[3]], ["GID", p => p[4]],
    ["CUSER", p => p[5]], ["CUID", p => p[6]], ["CGID", p => p[7]], ["CONTAINER", p => data.viewers[p[8]]], ["COMMAND", p => p[9]],
  ];
  const viewerOf = i => data.viewers[data.processes[i][8]];
  const texts = data.processes.map(p => columns.map(c => c[1](p)).join(" ").toLowerCase());
  let order = data.processes.map((_, i) => i), sorted = 0, descending = false, shown = step, found = [], words = [];

  // What is in the page already, with its text: reading that again for every key would be slow.
  const read = (selector, of) => [...document.querySelectorAll(selector)].map(e => ({ e, of: of(e), text: (e.textContent + "\n" + of(e).join("\n")).toLowerCase() }));
  const findings = read(".finding", e => [e.dataset.viewer]);
  const rows = read("table.plain tbody tr", e => [e.dataset.viewer]);
  const parts = read(".picture .part", e => e.dataset.of ? e.dataset.of.split("\n") : []);

  function row(i) {
    const tr = document.createElement("tr");
    for (const [, value] of columns) {
      const td = document.createElement("td");
      td.textContent = value(data.processes[i]);
      if (td.textContent === "unmapped") td.className = "unmapped";
      tr.append(td);
    }
    return tr;
  }

  function draw() {
    const drawn = document.createDocumentFragment();
    for (const i of found.slice(0, shown)) drawn.append(row(i));
    body.replaceChildren(drawn);
    more.hidden = found.length <= shown;
    range.textContent = more.hidden ? "" : "The first " + shown + " of " + found.length + " processes are shown.";
  }

  const matches = (text, of) => words.every(w => text.includes(w)) && (!viewer.value || of.includes(viewer.value));

  function filter() {
    words = search.value.toLowerCase().split(/\s+/).filter(w => w);
    found = order.filter(i => matches(texts[i], [viewerOf(i)]));
    shown = step;
    draw();
    document.getElementById("process-count").textContent = found.length === texts.length ? texts.length : found.length + " of " + texts.length;
    let left = 0;
    for (const f of findings) {
      f.e.hidden = !matches(f.text, f.of) || Boolean(severity.value) && f.e.dataset.severity !== severity.value;
      if (!f.e.hidden) left++;
    }
    for (const r of rows) r.e.hidden = !matches(r.text, r.of);
    for (const p of parts) p.e.classList.toggle("dim", !matches(p.text, p.of));
    for (const b of buttons) b.setAttribute("aria-pressed", String(viewer.value === b.dataset.choice));
    const active = words.length > 0 || Boolean(viewer.value) || Boolean(severity.value);
    hits.textContent = active ? left + " findings, " + found.length + " processes" : "";
    filtered.textContent = active ? "Not all is shown: only" + (viewer.value && " container " + viewer.value) + (severity.value && " findings of severity " + severity.value) +
      (words.length ? " what has: " + words.join(" ") : "") : "";
  }

  const compare = new Intl.Collator().compare;
  function sort(column) {
    descending = column === sorted && !descending;
    sorted = column;
    const value = columns[column][1], number = s => s === "" || isNaN(s) ? null : Number(s);
    const keys = data.processes.map(p => [number(value(p)), String(value(p))]);
    order.sort((a, b) => {
      const [nx, x] = keys[a], [ny, y] = keys[b];
      const by = nx !== null && ny !== null ? nx - ny : nx !== null ? -1 : ny !== null ? 1 : compare(x, y);
      return (descending ? -by : by) || a - b;
    });
    for (const [i, th] of [...table.tHead.rows[0].cells].entries()) {
      th.setAttribute("aria-sort", i !== column ? "none" : descending ? "descending" : "ascending");
    }
    filter();
  }

  for (const [i, [name]] of columns.entries()) {
    const th = document.createElement("th"), button = document.createElement("button");
    th.scope = "col";
    button.type = "button";
    button.textContent = name;
    button.addEventListener("click", () => sort(i));
    th.append(button);
    table.tHead.rows[0].append(th);
  }
  const containers = new Set([...data.viewers, ...rows.map(r => r.e.dataset.viewer), ...findings.map(f => f.e.dataset.viewer)]);
  for (const name of containers) {
    const option = document.createElement("option");
    option.value = option.textContent = name;
    viewer.append(option);
  }
  // A box of a picture that names a container chooses it. Tab leads to one box of each picture, arrow keys to the others.
  const buttons = [];
  for (const picture of document.querySelectorAll(".picture")) {
    const boxes = [...picture.querySelectorAll(".node[data-choice]")].filter(b => containers.has(b.dataset.choice));
    for (const [i, b] of boxes.entries()) {
      const lines = [...b.querySelectorAll("text")].map(t => (t.querySelector("title") || t).textContent);
      b.setAttribute("tabindex", i === 0 ? "0" : "-1");
      b.setAttribute("role", "button");
      b.setAttribute("aria-label", lines.join(", ") + ": only " + b.dataset.choice);
      const choose = () => { viewer.value = viewer.value === b.dataset.choice ? "" : b.dataset.choice; filter(); };
      b.addEventListener("click", choose);
      b.addEventListener("keydown", e => {
        const to = { ArrowDown: i + 1, ArrowRight: i + 1, ArrowUp: i - 1, ArrowLeft: i - 1, Home: 0, End: boxes.length - 1 }[e.key];
        if (e.key === "Enter" || e.key === " ") choose();
        else if (boxes[to]) {
          b.setAttribute("tabindex", "-1");
          boxes[to].setAttribute("tabindex", "0");
          boxes[to].focus();
        } else return;
        e.preventDefault();
      });
    }
    buttons.push(...boxes);
  }
  let timer;
  search.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(filter, 60); });
  viewer.addEventListener("change", filter);
  severity.addEventListener("change", filter);
  document.querySelector(".filters").addEventListener("submit", e => { e.preventDefault(); filter(); });
  function clear() { search.value = viewer.value = severity.value = ""; filter(); }
  document.getElementById("clear").addEventListener("click", clear);
  more.addEventListener("click", () => { shown += step * 5; draw(); });
  document.addEventListener("keydown", e => {
    if (e.key === "/" && !/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) { e.preventDefault(); search.focus(); }
    if (e.key === "Escape") clear();
  });
  // On paper every fix is open, and there are as many rows as make sense.
  let opened = [], before = step;
  window.addEventListener("beforeprint", () => {
    before = shown;
    shown = Math.max(shown, printed);
    draw();
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const d of opened) d.open = true;
  });
  window.addEventListener("afterprint", () => {
    shown = before;
    draw();
    for (const d of opened) d.open = false;
  });
  filter();
  table.tHead.rows[0].cells[0].setAttribute("aria-sort", "ascending");
  document.documentElement.dataset.ready = "yes";
})();
