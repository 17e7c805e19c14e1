"use strict";
// Everything that a container chose is set as textContent, never as markup.
(function () {
  const data = JSON.parse(document.getElementById("data").textContent);
  const search = document.getElementById("search"), viewer = document.getElementById("viewer"), severity = document.getElementById("severity");
  const hits = document.getElementById("hits"), more = document.getElementById("more");
  const table = document.getElementById("process-table"), body = table.tBodies[0];
  const step = 200, printed = 5000;
  // Of a process: [pid, cpid, user, uid, cuser, cuid, viewer, comm].
  const columns = [
    ["PID", p => p[0]], ["CPID", p => p[1]], ["USER", p => p[2]], ["UID", p => p[3]],
    ["CUSER", p => p[4]], ["CUID", p => p[5]], ["CONTAINER", p => data.viewers[p[6]]], ["COMMAND", p => p[7]],
  ];
  const texts = data.processes.map(p => columns.map(c => c[1](p)).join(" ").toLowerCase());
  let order = data.processes.map((_, i) => i), sorted = 0, descending = false, shown = step, found = [];

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
    const rows = document.createDocumentFragment();
    for (const i of found.slice(0, shown)) rows.append(row(i));
    body.replaceChildren(rows);
    more.hidden = found.length <= shown;
    more.textContent = "Show more (" + Math.min(shown, found.length) + " of " + found.length + ")";
  }

  function matches(text, of) {
    return (!words.length || words.every(w => text.includes(w))) && (!viewer.value || of === viewer.value);
  }

  let words = [];
  function filter() {
    words = search.value.toLowerCase().split(/\s+/).filter(w => w);
    found = order.filter(i => matches(texts[i], data.viewers[data.processes[i][6]]));
    shown = step;
    draw();
    document.getElementById("process-count").textContent = found.length === texts.length ? texts.length : found.length + " of " + texts.length;
    let findings = 0;
    for (const f of document.querySelectorAll(".finding")) {
      f.hidden = !matches(f.textContent.toLowerCase(), f.dataset.viewer) || Boolean(severity.value) && f.dataset.severity !== severity.value;
      if (!f.hidden) findings++;
    }
    for (const tr of document.querySelectorAll("table.plain tbody tr")) tr.hidden = !matches(tr.textContent.toLowerCase(), tr.dataset.viewer);
    const active = words.length > 0 || Boolean(viewer.value);
    for (const n of document.querySelectorAll(".picture .node")) {
      const text = n.textContent.toLowerCase();
      n.classList.toggle("dim", active && !(words.every(w => text.includes(w)) && (!viewer.value || text.includes(viewer.value.toLowerCase()))));
    }
    hits.textContent = active || severity.value ? findings + " findings, " + found.length + " processes" : "";
  }

  function sort(column) {
    descending = column === sorted && !descending;
    sorted = column;
    const value = columns[column][1], number = s => s === "" || isNaN(s) ? null : Number(s);
    order.sort((a, b) => {
      const x = value(data.processes[a]), y = value(data.processes[b]);
      const nx = number(x), ny = number(y);
      const by = nx !== null && ny !== null ? nx - ny : nx !== null ? -1 : ny !== null ? 1 : String(x).localeCompare(String(y));
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
  for (const name of data.viewers) {
    const option = document.createElement("option");
    option.value = option.textContent = name;
    viewer.append(option);
  }
  // A box of a picture that names a container chooses it.
  for (const n of document.querySelectorAll(".picture .node")) {
    const lines = [...n.querySelectorAll("text")].map(t => (t.querySelector("title") || t).textContent);
    const of = data.viewers.find(v => lines.some(l => l === v || l.startsWith(v + ",")));
    if (of === undefined) continue;
    n.setAttribute("tabindex", "0");
    n.setAttribute("role", "button");
    n.setAttribute("aria-label", "only " + of);
    const choose = () => { viewer.value = viewer.value === of ? "" : of; filter(); };
    n.addEventListener("click", choose);
    n.addEventListener("keydown", e => { if (e.key === "Enter" || e.key === " ") { e.preventDefault(); choose(); } });
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
  // On paper everything is open, and as many rows as make sense.
  window.addEventListener("beforeprint", () => { shown = printed; draw(); for (const d of document.querySelectorAll("details")) d.open = true; });
  window.addEventListener("afterprint", () => { shown = step; draw(); });
  filter();
  table.tHead.rows[0].cells[0].setAttribute("aria-sort", "ascending");
  document.documentElement.dataset.ready = "yes";
})();
