"use strict";
// Tables sort by a click on a head, and filter by what is typed under it: a word, a number, or > 0.05. Rows are in
// the page, or packed into it where there are thousands; then as many are shown as one can read.

const AT_A_TIME = 200;

function valueOf(text) {
  const number = Number(text);
  return text === "" || Number.isNaN(number) ? text : number;
}

// numbers before words, what is missing last, whatever the direction
function compare(one, other, sign) {
  if (one === other) return 0;
  if (one === "" || other === "") return one === "" ? 1 : -1;
  if (typeof one !== typeof other) return typeof one === "number" ? -1 : 1;
  return sign * (typeof one === "number" ? one - other : one.localeCompare(other));
}

function shown(value) {
  if (typeof value !== "number" || Number.isInteger(value)) return String(value);
  return String(Number(value.toPrecision(4)));
}

function matches(value, asked) {
  const [, sign, limit] = /^([<>])\s*(\S+)$/.exec(asked) ?? [];
  if (sign) return typeof value === "number" && (sign === "<" ? value < Number(limit) : value > Number(limit));
  const number = valueOf(asked);
  if (typeof number === "number" && typeof value === "number") {
    return value === number || shown(value) === shown(number);
  }
  return String(value).toLowerCase().includes(asked.toLowerCase());
}

function drawn(row) {
  if (!row.node) {
    row.node = document.createElement("tr");
    for (const [place, value] of row.values.entries()) {
      const cell = row.node.insertCell();
      cell.textContent = shown(value);
      if (typeof value === "number") {
        cell.className = "number";
        cell.title = row.texts[place];
      } else {
        cell.className = value.length > 20 ? "words" : value.includes(" ") ? "" : value;
      }
    }
  }
  return row.node;
}

function rowsOf(body) {
  return [...body.rows].map((node) => ({
    node,
    values: [...node.cells].map((cell) => valueOf(cell.dataset.value ?? cell.textContent)),
  }));
}

async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const rows = JSON.parse(await new Response(stream).text());
  return rows.map((texts) => ({ texts, values: texts.map(valueOf) }));
}

function interactive(table, rows) {
  const heads = [...table.tHead.rows[0].cells];
  const asked = heads.map(() => "");
  const status = table.parentElement.previousElementSibling;
  const more = table.parentElement.nextElementSibling;
  let kept = rows;
  let limit = AT_A_TIME;

  function show() {
    table.tBodies[0].replaceChildren(...kept.slice(0, limit).map(drawn));
    const part = kept.length > limit ? `the first ${limit} of ` : "";
    const of = kept.length < rows.length ? ` of ${rows.length.toLocaleString("en")}` : "";
    status.textContent = `${part}${kept.length.toLocaleString("en")}${of} rows`;
    more.hidden = kept.length <= limit;
  }

  function sort(place) {
    const up = heads[place].getAttribute("aria-sort") !== "ascending";
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    heads[place].setAttribute("aria-sort", up ? "ascending" : "descending");
    rows.sort((one, other) => compare(one.values[place], other.values[place], up ? 1 : -1));
    filter();
  }

  function filter() {
    limit = AT_A_TIME;
    kept = rows.filter(({ values }) => asked.every((text, place) => !text || matches(values[place], text)));
    show();
  }

  heads.forEach((head, place) => {
    head.querySelector("button").addEventListener("click", () => sort(place));
    head.querySelector("input")?.addEventListener("input", (event) => {
      asked[place] = event.target.value.trim();
      filter();
    });
  });
  more.addEventListener("click", () => {
    limit += AT_A_TIME;
    show();
  });
  show();
}

// In Snakemake's report this page stands in a frame: there a link opens the result beside its caption.
function openInReport(event) {
  const path = event.currentTarget.dataset.result;
  let app, result;
  try {
    app = parent.eval("app");
    result = parent.results[path];
  } catch {
    return;
  }
  event.preventDefault();
  const content = result.mime_type === "text/html" ? "html" : "img";
  const [category, parts] = Object.entries(parent.categories).find(([, of]) => Object.values(of).flat().includes(path));
  app.setView({
    navbarMode: "resultinfo",
    category,
    subcategory: Object.keys(parts).find((name) => parts[name].includes(path)),
    resultPath: path,
    content,
    contentPath: result.data_uri,
  });
}

// There `#claims` is a place in the report, which has none of that name.
function goToPlace(event) {
  event.preventDefault();
  document.querySelector(event.currentTarget.hash).scrollIntoView();
}

// There the caption stands beside the page already.
document.body.classList.toggle("framed", window !== parent);
document.querySelectorAll("a[href^='#']").forEach((link) => link.addEventListener("click", goToPlace));
document.querySelectorAll("a[data-result]").forEach((link) => link.addEventListener("click", openInReport));
document.querySelectorAll("table").forEach(async (table) => {
  const rows = table.dataset.rows ? await unpacked(table.dataset.rows) : rowsOf(table.tBodies[0]);
  interactive(table, rows);
});
