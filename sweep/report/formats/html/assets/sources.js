// The dialog with what is behind a number: trials, seeds, baselines, and where the journal records them.

const METHODS = {
  pca: "PCA",
  mean_image: "Mean image",
  noisy_input: "Noisy input",
  linear_mmse: "Linear MMSE",
  pixels: "Pixels",
};

// Where a number stands: its section, row and column.
function placeOf(source) {
  const cell = source.closest("td, th");
  const row = cell.closest("tr"),
    table = cell.closest("table");
  const heading = table.tHead.rows[0].cells[cell.cellIndex];
  const column = (heading.querySelector(".sort") || heading).firstChild
    ? heading.textContent.replace(/[▲▼↕]$/, "")
    : "";
  const section = table.closest("section").querySelector("h2, h3");
  return [section && section.textContent, row.cells[0] === cell ? "" : row.cells[0].textContent, column]
    .map((part) => (part || "").trim())
    .filter(Boolean)
    .join(" · ");
}

function showSource(title, place, numbers, baseline) {
  const dialog = $("source");
  const trials = numbers.map((number) => store.trials[number]);
  dialog.replaceChildren(
    element(
      "div",
      { class: "dialog-head" },
      element(
        "div",
        {},
        element("h2", { id: "source-title", tabindex: "-1" }, title),
        place ? element("p", {}, place) : null,
      ),
      button("Close", () => dialog.close(), { class: "close" }),
    ),
    element(
      "div",
      { class: "dialog-body" },
      baseline ? baselinePart(baseline) : null,
      trials.length > 1 ? summaryPart(trials) : null,
      trials.map((trial) => trialPart(trial, trials.length === 1)),
    ),
  );
  if (!dialog.open) dialog.showModal();
  dialog.querySelector(".dialog-body").scrollTop = 0;
  $("source-title").focus();
}

function showTrial(trial) {
  showSource(trial.name, [trial.stage, datasetLabel(trial.dataset)].join(" · "), [trial.number], null);
}

function baselinePart(baseline) {
  return element(
    "section",
    {},
    element("p", {}, "A baseline: nothing here was trained by gradient descent."),
    facts(
      [
        ["Method", METHODS[baseline.method] || baseline.method],
        ["Data set", datasetLabel(baseline.dataset)],
        ["Judged on", baseline.split === "test" ? "test images" : `validation images of stage ${baseline.stage}`],
        ["Latent dimension", baseline.latent_dim],
        ["Noise variance", baseline.noise_variance],
        ["MSE", baseline.mse],
        ["PSNR (dB)", baseline.psnr_db],
        ["SSIM", baseline.ssim],
        ["Linear probe", baseline.probe_accuracy],
        ["Neighbours", baseline.neighbour_accuracy],
      ].map(([name, value]) => [name, typeof value === "number" ? String(value) : value]),
    ),
    linesPart({ [baseline.probe_accuracy === undefined ? "baseline" : "codes"]: [baseline.line] }),
  );
}

function summaryPart(trials) {
  const results = store.head.results.filter(([name]) => trials.some((trial) => trial.result[name] !== null));
  return element(
    "section",
    {},
    element(
      "h3",
      {},
      trials.every((trial) => trial.isRetraining) ? `${plural(trials.length, "seed")}` : plural(trials.length, "trial"),
    ),
    plainTable(
      ["Trial", "Seeds", "State", "Epochs", ...results.map(([, label]) => label)],
      trials.map((trial) => [
        trial.name,
        trial.seeds.join(", "),
        trial.state,
        trial.lastEpoch,
        ...results.map(([name]) => trial.result[name]),
      ]),
      "What is behind the number",
    ),
  );
}

function trialPart(trial, isOpen) {
  const results = store.head.results
    .filter(([name]) => trial.result[name] !== null)
    .map(([name, label]) => [label, String(trial.result[name])]);
  // Of the trials of a search, the model of a cell's winner alone is kept.
  const isKept = trial.isRetraining || store.winners.has(trial.number);
  const [file, sha256, size] = (isKept && trial.checkpoint) || [];
  const metrics = store.head.metrics.filter(([metric]) => trial.columns[metric]);
  const rows = Array.from({ length: trial.epochs }, (_, index) => [
    trial.first + index,
    ...metrics.map(([metric]) => trial.columns[metric][index]),
  ]);
  const isRung = new Map(trial.decisions.map(([epoch, action]) => [epoch, action]));
  return element(
    "details",
    { open: isOpen, class: "trial" },
    element("summary", {}, element("bdi", {}, trial.name), ` — ${trial.state}`),
    facts([
      ["Stage", trial.stage],
      ["Data set", datasetLabel(trial.dataset)],
      ["Cell", trial.cell],
      [trial.seeds.length > 1 ? "Seeds" : "Seed", trial.seeds.join(", ")],
      ["State", trial.state + (trial.reason ? `: ${trial.reason}` : "")],
      ["Epochs", `${trial.lastEpoch} of ${trial.budget}`],
      ["Held its worker", trial.seconds === null ? null : `${shown(trial.seconds)} s`],
      ["Trained on", trial.numImages === null ? null : plural(trial.numImages, "image")],
      ...results,
      ["Validation MSE of each seed", trial.perSeed && trial.perSeed.map(shown).join(", ")],
    ]),
    element("h4", {}, "Model file"),
    file
      ? facts([
          ["File", element("code", {}, file)],
          ["SHA-256", element("code", {}, sha256 || "–")],
          ["Size", size ? `${size.toLocaleString("en")} bytes` : null],
        ])
      : element("p", {}, "None is kept of this trial."),
    element("h4", {}, "Configuration"),
    facts(
      store.head.fields.map(([, label], index) => [
        label,
        store.head.used[index] ? String(trial.configuration[index]) : null,
      ]),
    ),
    element("h4", {}, "Epochs"),
    rows.length
      ? plainTable(
          ["Epoch", ...metrics.map(([, label]) => label), ...(isRung.size ? ["ASHA"] : [])],
          rows.map((row) => (isRung.size ? [...row, isRung.get(row[0]) || ""] : row)),
          `Epochs of ${trial.name}`,
        )
      : element("p", {}, "None is recorded yet."),
    trial.decisions.length
      ? plainTable(
          ["Rung", "Decision", "Value", "Cutoff", "Compared"],
          trial.decisions,
          `ASHA's decisions on ${trial.name}`,
        )
      : null,
    linesPart(trial.lines),
    element(
      "p",
      {},
      button("Show its learning curve", () => {
        $("source").close();
        chooseAlone(trial);
      }),
    ),
  );
}

// Line numbers as ranges: [3, 4, 5, 9] becomes "3–5, 9".
function ranges(numbers) {
  const found = [];
  for (const number of numbers) {
    const open = found[found.length - 1];
    if (open && open[1] === number - 1) open[1] = number;
    else found.push([number, number]);
  }
  return found;
}

function linesPart(lines) {
  const all = Object.values(lines)
    .flat()
    .sort((a, b) => a - b);
  const command = `sed -n '${ranges(all)
    .map(([a, b]) => (a === b ? `${a}p` : `${a},${b}p`))
    .join(";")}' journal.jsonl`;
  return element(
    "div",
    {},
    element("h4", {}, "Lines of the journal"),
    facts(
      Object.entries(lines).map(([kind, numbers]) => [
        kind,
        ranges(numbers)
          .map(([a, b]) => (a === b ? `${a}` : `${a}–${b}`))
          .join(", "),
      ]),
    ),
    element("p", {}, "In the run's folder, this prints them:"),
    element("pre", { tabindex: "0", "aria-label": "Command" }, element("code", {}, command)),
  );
}

document.addEventListener("click", (event) => {
  const source = event.target.closest("button.source");
  if (source) {
    const numbers = source.dataset.trials ? source.dataset.trials.split(" ").map(Number) : [];
    const baseline =
      source.dataset.baseline === undefined ? null : store.head.baselines[Number(source.dataset.baseline)];
    showSource(source.textContent.trim(), placeOf(source), numbers, baseline);
  } else if (event.target === $("source")) $("source").close(); // beside the dialog
});
