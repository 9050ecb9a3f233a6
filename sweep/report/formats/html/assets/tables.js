// Sorts the report's tables: a column of numbers by size, whatever stands around them, any other as text.

const NUMBER = /^[+\-−]?(?:\d[\d,]*\.?\d*|\.\d+)(?:e[+\-−]?\d+)?(?=$|[\s%†‡])/i;
const collator = new Intl.Collator("en", { numeric: true });

// The number at the beginning of a text, as of "0.00570 ± 0.00012", "+30 %" or "3 of 4"; null where there is none.
function numberIn(text) {
  const found = text.match(NUMBER);
  return found ? Number(found[0].replace(/,/g, "").replace("−", "-")) : null;
}

// Compares two keys, with what is missing at the end whichever way it is sorted.
function compareKeys(a, b, direction) {
  if (a === null || b === null) return (a === null) - (b === null);
  return direction * (typeof a === "number" ? a - b : collator.compare(a, b));
}

// Heads a column by a button that sorts, and says in `aria-sort` how it is sorted.
function sortHeading(heading, label, direction, sort) {
  heading.setAttribute("aria-sort", direction > 0 ? "ascending" : direction < 0 ? "descending" : "none");
  const made = button("", sort, { class: "sort" });
  made.append(
    ...label,
    element("span", { class: "arrow", "aria-hidden": "true" }, direction > 0 ? "▲" : direction < 0 ? "▼" : "↕"),
  );
  heading.replaceChildren(made);
}

function makeSortable(table) {
  const headings = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const labels = headings.map((heading) => [...heading.childNodes].map((node) => node.cloneNode(true)));
  let sorted = { column: -1, direction: 0 };

  function sort(column) {
    sorted = { column, direction: sorted.column === column && sorted.direction > 0 ? -1 : 1 };
    const texts = new Map(
      [...body.rows].map((row) => [row, row.cells[column] ? row.cells[column].textContent.trim() : ""]),
    );
    const known = [...texts.values()].filter((text) => text !== "" && text !== "–");
    const isNumeric = known.length > 0 && known.every((text) => numberIn(text) !== null);
    const key = (row) => {
      const text = texts.get(row);
      return text === "" || text === "–" ? null : isNumeric ? numberIn(text) : text;
    };
    body.append(...[...body.rows].sort((a, b) => compareKeys(key(a), key(b), sorted.direction)));
    show();
    headings[column].querySelector("button").focus();
  }

  function show() {
    headings.forEach((heading, column) => {
      if (!heading.textContent.trim()) return;
      const label = labels[column].map((node) => node.cloneNode(true));
      sortHeading(heading, label, sorted.column === column ? sorted.direction : 0, () => sort(column));
    });
  }
  show();
}
