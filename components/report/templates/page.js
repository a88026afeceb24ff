// Sorting, filtering and CSV for every table; the page reads in full without any of it.
"use strict";
(() => {
  const button = (text, label, act) => {
    const b = document.createElement("button");
    b.type = "button";
    b.textContent = text;
    if (label) b.setAttribute("aria-label", label);
    b.addEventListener("click", act);
    return b;
  };

  // Numbers by value, text in natural order (HUVEC-2 before HUVEC-10).
  const key = (cell) => {
    const raw = cell.dataset.sort ?? cell.textContent.trim();
    const number = Number(raw);
    return raw !== "" && Number.isFinite(number) ? number : raw;
  };
  const compare = (a, b) =>
    typeof a === "number" && typeof b === "number"
      ? a - b
      : String(a).localeCompare(String(b), undefined, { numeric: true });

  const sortBy = (table, column, head) => {
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) {
      if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
    }
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const rows = [...table.tBodies[0].rows];
    rows.sort((a, b) => compare(key(a.cells[column]), key(b.cells[column])) * (down ? -1 : 1));
    table.tBodies[0].append(...rows);
  };

  // A cell that a spreadsheet would take for a formula is written as text.
  const field = (cell) => {
    let text = (cell.dataset.csv ?? cell.textContent).trim().replace(/\s+/g, " ");
    if (/^[=+\-@\t]/.test(text) && !Number.isFinite(Number(text))) text = "'" + text;
    return /[",\n]/.test(text) ? '"' + text.replace(/"/g, '""') + '"' : text;
  };
  const csv = (table) => {
    const kept = [...table.tHead.rows[0].cells].map((c) => !c.hasAttribute("data-skip"));
    const rows = [table.tHead.rows[0], ...[...table.tBodies[0].rows].filter((r) => !r.hidden)];
    return rows.map((r) => [...r.cells].filter((_, i) => kept[i]).map(field).join(",")).join("\r\n") + "\r\n";
  };
  const download = (table) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(["\ufeff", csv(table)], { type: "text/csv" }));
    link.download = table.dataset.name.replace(/[^\w.-]+/g, "_") + ".csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  const copy = (table, said) => {
    const area = document.createElement("textarea");
    area.value = csv(table);
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    said.textContent = done ? "copied" : "could not copy";
    setTimeout(() => { said.textContent = ""; }, 2000);
  };

  for (const table of document.querySelectorAll("table[data-name]")) {
    const name = table.dataset.name;
    const tools = document.createElement("div");
    tools.className = "tools";
    const said = document.createElement("output");
    if (table.hasAttribute("data-filter") && table.tBodies[0].rows.length > 5) {
      const input = document.createElement("input");
      input.type = "search";
      input.placeholder = "Filter rows";
      input.setAttribute("aria-label", "Filter rows of " + name);
      input.addEventListener("input", () => {
        const wanted = input.value.toLowerCase();
        let shown = 0;
        for (const row of table.tBodies[0].rows) {
          row.hidden = !row.textContent.toLowerCase().includes(wanted);
          shown += row.hidden ? 0 : 1;
        }
        said.textContent = wanted ? shown + " of " + table.tBodies[0].rows.length : "";
      });
      tools.append(input);
    }
    tools.append(
      button("Copy CSV", "Copy " + name + " as CSV", () => copy(table, said)),
      button("Download CSV", "Download " + name + " as CSV", () => download(table)),
      said,
    );
    table.parentElement.after(tools);
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      head.scope = "col";
      if (head.hasAttribute("data-skip")) return;
      head.setAttribute("aria-sort", "none");
      const text = head.textContent;
      head.textContent = "";
      head.append(button(text, "", () => sortBy(table, column, head)));
    });
  }

  const root = document.documentElement;
  const theme = button("Dark or light", "Switch between dark and light", () => {
    const dark = root.dataset.theme
      ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });
  theme.className = "theme";
  document.querySelector("header.top").append(theme);

  // A deep link opens what it points at; printing opens everything.
  const reveal = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    for (let node = target; node; node = node.parentElement) {
      if (node.tagName === "DETAILS") node.open = true;
    }
    target.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  if (location.hash) reveal();
  addEventListener("beforeprint", () => {
    for (const part of document.querySelectorAll("details")) part.open = true;
  });
})();
