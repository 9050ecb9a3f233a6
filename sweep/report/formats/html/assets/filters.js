// Which trials are listed: by stage, data set, cell, state, name, and any axis on which trials differ.

const listing = {
  stage: "",
  dataset: "",
  cell: "",
  state: "",
  text: "",
  axes: {},
  sort: "number",
  direction: 1,
  page: 0,
  size: 50,
  found: [],
};
const MAX_VALUES = 12; // an axis with more values is filtered by a range

// The axes on which trials differ.
function varyingAxes(trials) {
  return store.head.fields
    .map(([name, label], index) => {
      const values = new Set();
      for (const trial of trials) values.add(trial.configuration[index]);
      return { name, label, index, values: [...values].filter((value) => value !== null) };
    })
    .filter((axis) => axis.values.length > 1);
}

function matches(trial) {
  if (listing.stage && trial.stage !== listing.stage) return false;
  if (listing.dataset && trial.dataset !== listing.dataset) return false;
  if (listing.cell && trial.cell !== listing.cell) return false;
  if (listing.state === "winner" ? !store.winners.has(trial.number) : listing.state && trial.state !== listing.state)
    return false;
  if (listing.text && !trial.name.toLowerCase().includes(listing.text.toLowerCase())) return false;
  return Object.entries(listing.axes).every(([index, wanted]) => {
    const value = trial.configuration[index];
    if (wanted.is !== undefined) return wanted.is === "" || String(value) === wanted.is;
    return (wanted.least === null || value >= wanted.least) && (wanted.most === null || value <= wanted.most);
  });
}

function counted(trials, value, label = (key) => key) {
  const counts = new Map();
  for (const trial of trials) if (value(trial)) counts.set(value(trial), (counts.get(value(trial)) || 0) + 1);
  return [...counts].map(([key, count]) => [key, `${label(key)} (${count.toLocaleString("en")})`]);
}

// Makes the controls anew; the values that were set stay.
function showFilters() {
  const trials = store.trials;
  const mine = trials.filter(
    (trial) =>
      (!listing.stage || trial.stage === listing.stage) && (!listing.dataset || trial.dataset === listing.dataset),
  );
  const set = (name, redraw) => (value) => {
    listing[name] = value;
    listing.page = 0;
    if (redraw) {
      listing.cell = "";
      listing.axes = {};
      showFilters();
      focusFilter(name);
    }
    showTrials();
  };
  const named = (name, control) => {
    control.id = `filter-${name}`;
    return control;
  };
  const axes = varyingAxes(mine);
  const search = element("input", {
    type: "search",
    autocomplete: "off",
    value: listing.text,
    input: (event) => set("text")(event.target.value),
  });
  const wasOpen = $("axis-filters") ? $("axis-filters").open : false;
  $("filters").replaceChildren(
    field(
      "Stage",
      named(
        "stage",
        choice([["", "all"], ...counted(trials, (trial) => trial.stage)], listing.stage, set("stage", true)),
      ),
    ),
    field(
      "Data set",
      named(
        "dataset",
        choice(
          [["", "all"], ...counted(trials, (trial) => trial.dataset, datasetLabel)],
          listing.dataset,
          set("dataset", true),
        ),
      ),
    ),
    field(
      "Cell",
      named("cell", choice([["", "all"], ...counted(mine, (trial) => trial.cell)], listing.cell, set("cell"))),
    ),
    field(
      "State",
      named(
        "state",
        choice(
          [
            ["", "all"],
            ["winner", `winner of its cell (${store.winners.size})`],
            ...counted(mine, (trial) => trial.state),
          ],
          listing.state,
          set("state"),
        ),
      ),
    ),
    field("Name", search),
    button("Reset", () => {
      Object.assign(listing, { stage: "", dataset: "", cell: "", state: "", text: "", axes: {}, page: 0 });
      showFilters();
      showTrials();
    }),
    axes.length
      ? element(
          "details",
          { id: "axis-filters", open: wasOpen },
          element("summary", {}, "Filter by axis"),
          element("div", { class: "axes" }, axes.map(axisFilter)),
        )
      : null,
  );
}

function focusFilter(name) {
  const control = $(`filter-${name}`);
  if (control) control.focus();
}

function axisFilter(axis) {
  const isNumeric = axis.values.every((value) => typeof value === "number");
  const sorted = [...axis.values].sort((a, b) => compareKeys(a, b, 1));
  const wanted = listing.axes[axis.index] || {};
  const set = (changes) => {
    listing.axes[axis.index] = { ...(listing.axes[axis.index] || {}), ...changes };
    listing.page = 0;
    showTrials();
  };
  if (!isNumeric || sorted.length <= MAX_VALUES) {
    return field(
      axis.label,
      choice([["", "all"], ...sorted.map((value) => [String(value), shown(value)])], wanted.is || "", (value) =>
        set({ is: value }),
      ),
    );
  }
  const bound = (name, label, hint) =>
    element("input", {
      type: "number",
      step: "any",
      "aria-label": `${axis.label}, ${label}`,
      placeholder: shown(hint),
      value: wanted[name] ?? "",
      input: (event) =>
        set({
          least: null,
          most: null,
          ...(listing.axes[axis.index] || {}),
          [name]: event.target.value === "" ? null : Number(event.target.value),
        }),
    });
  return element(
    "fieldset",
    { class: "field" },
    element("legend", {}, axis.label),
    element(
      "span",
      { class: "range" },
      bound("least", "at least", sorted[0]),
      " to ",
      bound("most", "at most", sorted[sorted.length - 1]),
    ),
  );
}
