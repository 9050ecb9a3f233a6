// The table of the trials that are listed: sorting, pages, and the choice of those whose curves are drawn.

const chosen = new Set(); // numbers of trials
const choiceListeners = [];
let chartsTimer = 0;

function showChoice() {
  clearTimeout(chartsTimer);
  for (const listener of choiceListeners) listener();
}

function columnsOf(trials) {
  const has = (metric) => trials.some((trial) => trial.columns[metric]);
  return [
    { key: "name", label: "Trial", value: (trial) => trial.name },
    { key: "stage", label: "Stage", value: (trial) => trial.stage },
    { key: "dataset", label: "Data set", value: (trial) => datasetLabel(trial.dataset) },
    { key: "state", label: "State", value: (trial) => trial.state },
    { key: "epochs", label: "Epochs", value: (trial) => trial.lastEpoch, isNumber: true },
    ...store.head.metrics
      .filter(([metric]) => metric !== "loss" && metric !== "seconds" && has(metric))
      .map(([metric, label]) => ({
        key: metric,
        label,
        value: (trial) => last(trial, metric),
        isNumber: true,
        format: measured,
      })),
    ...store.head.results
      .filter(([name]) => name.startsWith("test_") && trials.some((trial) => trial.result[name] !== null))
      .map(([name, label]) => ({
        key: name,
        label,
        value: (trial) => trial.result[name],
        isNumber: true,
        format: measured,
      })),
    { key: "seconds", label: "Seconds", value: (trial) => trial.seconds, isNumber: true, format: measured },
    ...varyingAxes(trials).map((axis) => ({
      key: `axis-${axis.name}`,
      label: axis.label,
      value: (trial) => trial.configuration[axis.index],
      isNumber: axis.values.every((value) => typeof value === "number"),
    })),
  ];
}

function showTrials() {
  const found = store.trials.filter(matches);
  const columns = columnsOf(found.length ? found : store.trials);
  const by = columns.find((column) => column.key === listing.sort);
  if (by) {
    const keys = new Map(found.map((trial) => [trial, by.value(trial) ?? null]));
    found.sort((a, b) => compareKeys(keys.get(a), keys.get(b), listing.direction));
  }
  listing.found = found;
  const numPages = Math.max(1, Math.ceil(found.length / listing.size));
  listing.page = Math.min(listing.page, numPages - 1);
  const all = plural(store.trials.length, "trial");
  const listed = found.length === store.trials.length ? `${all}.` : `${found.length.toLocaleString("en")} of ${all}.`;
  if ($("listed").textContent !== listed) $("listed").textContent = listed; // which a screen reader then says
  const table = $("trial-table");
  const focused = table.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  const headings = columns.map((column) => {
    const heading = element("th", { scope: "col", class: column.isNumber ? "number" : null });
    sortHeading(heading, [column.label], listing.sort === column.key ? listing.direction : 0, () => {
      listing.direction = listing.sort === column.key ? -listing.direction : 1;
      listing.sort = column.key;
      showTrials();
    });
    heading.firstChild.dataset.key = column.key;
    return heading;
  });
  table.replaceChildren(
    element(
      "thead",
      {},
      element("tr", {}, element("th", { scope: "col" }, element("span", { class: "hidden" }, "Choose")), headings),
    ),
    element(
      "tbody",
      {},
      found
        .slice(listing.page * listing.size, (listing.page + 1) * listing.size)
        .map((trial) => trialRow(trial, columns)),
    ),
  );
  const again = focused && [...table.querySelectorAll("[data-key]")].find((each) => each.dataset.key === focused);
  if (again) again.focus();
  showPages(numPages);
  clearTimeout(chartsTimer);
  chartsTimer = setTimeout(showChoice, 120); // once, however fast someone types
}

function trialRow(trial, columns) {
  const box = element("input", {
    type: "checkbox",
    "aria-label": `Choose ${trial.name}`,
    "data-key": `choose-${trial.number}`,
    change: (event) => {
      if (event.target.checked) chosen.add(trial.number);
      else chosen.delete(trial.number);
      showChoice();
    },
  });
  box.checked = chosen.has(trial.number);
  return element(
    "tr",
    { class: store.winners.has(trial.number) ? "winner" : null },
    element("td", {}, box),
    columns.map((column) => {
      if (column.key === "name") {
        return element(
          "th",
          { scope: "row" },
          button(trial.name, () => showTrial(trial), {
            class: "source-trial",
            "aria-haspopup": "dialog",
            "data-key": `open-${trial.number}`,
          }),
          store.winners.has(trial.number)
            ? element(
                "span",
                { class: "star", role: "img", "aria-label": "winner of its cell", title: "winner of its cell" },
                "★",
              )
            : null,
        );
      }
      if (column.key === "state")
        return element("td", {}, element("span", { class: `state ${trial.state}` }, trial.state));
      return element(
        "td",
        { class: column.isNumber ? "number" : null },
        column.isNumber ? (column.format || shown)(column.value(trial)) : String(column.value(trial) ?? "–"),
      );
    }),
  );
}

function showPages(numPages) {
  const go = (page) => () => {
    listing.page = page;
    showTrials();
  };
  const first = listing.page * listing.size;
  $("pages").replaceChildren(
    button("Previous", go(listing.page - 1), { disabled: listing.page === 0 }),
    element(
      "span",
      {},
      listing.found.length
        ? `${first + 1}–${Math.min(first + listing.size, listing.found.length)} of ${listing.found.length.toLocaleString("en")}`
        : "none",
    ),
    button("Next", go(listing.page + 1), { disabled: listing.page >= numPages - 1 }),
    field(
      "Rows",
      choice(
        [
          ["25", "25"],
          ["50", "50"],
          ["200", "200"],
        ],
        String(listing.size),
        (value) => {
          listing.size = Number(value);
          listing.page = 0;
          showTrials();
        },
      ),
    ),
  );
}

function chooseAlone(trial) {
  chosen.clear();
  chosen.add(trial.number);
  showTrials();
  $("curves").scrollIntoView();
  $("curve-chart").focus();
}
