"use strict";
// Tables sort by a click on a heading. Those with more than 20 rows filter by the text under a heading: a word, a
// number, or a limit such as > 0.05. Of thousands of rows a table shows 200, and more by a button.

const ROWS = 200;

const valueOf = (text) => (text === "" || isNaN(text) ? text : Number(text));

function shown(value) {
  return typeof value === "number" && !Number.isInteger(value) ? String(Number(value.toPrecision(4))) : String(value);
}

/** Numbers come before words, and missing values last in both directions. */
function compare(one, other, sign) {
  if (one === "" || other === "") return (one === "") - (other === "");
  if (typeof one !== typeof other) return typeof one === "number" ? -1 : 1;
  return sign * (typeof one === "number" ? one - other : one.localeCompare(other));
}

function matches(value, asked) {
  const [, sign, limit] = /^([<>])\s*(\S+)$/.exec(asked) ?? [];
  if (sign) return typeof value === "number" && (sign === "<" ? value < limit : value > limit);
  if (typeof value === "number" && !isNaN(asked)) return value === Number(asked) || shown(value) === asked;
  return String(value).toLowerCase().includes(asked.toLowerCase());
}

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function rowOf(texts) {
  const cells = texts.map((text) => {
    const value = valueOf(text);
    const name = typeof value === "number" ? "number" : text.length > 20 ? "words" : text.includes(" ") ? "" : text;
    return element("td", { className: name, title: name === "number" ? text : "", textContent: shown(value) });
  });
  return element("tr", {}, ...cells);
}

async function fill(place) {
  const packed = Uint8Array.from(atob(place.dataset.rows), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const rows = await new Response(stream).json();
  const columns = JSON.parse(place.dataset.columns);
  const filters = columns.map(() => "");
  let limit = ROWS;

  const heads = columns.map(([name, title], column) => {
    const sort = element("button", { type: "button", textContent: name.replaceAll("_", " ") });
    sort.addEventListener("click", () => {
      const up = heads[column].ariaSort !== "ascending";
      heads.forEach((head) => (head.ariaSort = null));
      heads[column].ariaSort = up ? "ascending" : "descending";
      rows.sort((one, other) => compare(valueOf(one[column]), valueOf(other[column]), up ? 1 : -1));
      show();
    });
    const filter = element("input", { ariaLabel: `only rows whose ${name} is`, hidden: rows.length <= 20 });
    filter.addEventListener("input", () => {
      filters[column] = filter.value.trim();
      limit = ROWS;
      show();
    });
    return element("th", title ? { title } : {}, sort, filter);
  });
  const body = element("tbody");
  const count = element("div", { className: "count" });
  const more = element("button", { className: "more", type: "button", textContent: "more rows" });
  more.addEventListener("click", () => {
    limit += ROWS;
    show();
  });

  function show() {
    const kept = rows.filter((row) => filters.every((asked, i) => !asked || matches(valueOf(row[i]), asked)));
    body.replaceChildren(...kept.slice(0, limit).map(rowOf));
    const first = kept.length > limit ? `the first ${limit} of ` : "";
    const all = kept.length < rows.length ? ` of ${rows.length.toLocaleString("en")}` : "";
    count.textContent = `${first}${kept.length.toLocaleString("en")}${all} rows`;
    more.hidden = kept.length <= limit;
  }

  const table = element("table", {}, element("thead", {}, element("tr", {}, ...heads)), body);
  const wide = element("div", { className: rows.length > 20 ? "wide tall" : "wide" }, table);
  place.replaceChildren(count, wide, more);
  show();
}

/** In Snakemake's report the page is in a frame, and a link opens the result beside its caption. */
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

/** In the report the address `#claims` would be a place of the report itself. */
function goToPlace(event) {
  event.preventDefault();
  document.querySelector(event.currentTarget.hash).scrollIntoView();
}

// the report shows captions itself
document.body.classList.toggle("framed", window !== parent);
document.querySelectorAll("a[href^='#']").forEach((link) => link.addEventListener("click", goToPlace));
document.querySelectorAll("a[data-result]").forEach((link) => link.addEventListener("click", openInReport));
document.querySelectorAll(".table").forEach(fill);
