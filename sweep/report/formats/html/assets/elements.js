// Makes elements. Text from a run becomes text nodes and attributes alone, never markup.

const $ = (id) => document.getElementById(id);

// element("td", {class: "number"}, "12", otherElement); a function as an attribute handles that event.
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") made.addEventListener(name, value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

function field(label, control) {
  return element("label", { class: "field" }, element("span", {}, label), control);
}

function choice(options, value, change) {
  const made = element("select", { change: (event) => change(event.target.value) });
  for (const [key, label] of options) made.append(element("option", { value: key, selected: key === value }, label));
  return made;
}

const button = (label, click, attributes = {}) => element("button", { type: "button", click, ...attributes }, label);

// A table of plain values: strings and elements as they are, numbers aligned right.
function plainTable(headings, rows, caption) {
  const cell = (value) =>
    typeof value === "number" || value === null
      ? element("td", { class: "number" }, measured(value))
      : element("td", {}, value);
  const isNumber = (column) =>
    rows.length > 0 && rows.every((row) => typeof row[column] === "number" || row[column] === null);
  return element(
    "div",
    { class: "scroll", role: "region", tabindex: "0", "aria-label": caption },
    element(
      "table",
      {},
      element("caption", { class: "hidden" }, caption),
      element(
        "thead",
        {},
        element(
          "tr",
          {},
          headings.map((heading, column) =>
            element("th", { scope: "col", class: isNumber(column) ? "number" : null }, heading),
          ),
        ),
      ),
      element(
        "tbody",
        {},
        rows.map((row) => element("tr", {}, row.map(cell))),
      ),
    ),
  );
}

function facts(pairs) {
  return element(
    "dl",
    { class: "facts" },
    pairs
      .filter(([, value]) => value !== null && value !== undefined && value !== "")
      .map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))),
  );
}
