// The data of the run: what `explorer.py` writes, decoded, and who is told when it grows.

const store = { trials: [], listeners: [], head: null };

// The order of a trial's values in the data.
const TRIAL = [
  "name",
  "stage",
  "dataset",
  "state",
  "reason",
  "seeds",
  "budget",
  "seconds",
  "cell",
  "configuration",
  "rows",
  "decisions",
  "perSeed",
  "results",
  "checkpoint",
  "lines",
  "numImages",
];

function decode(values) {
  const trial = { number: values[0] };
  TRIAL.forEach((name, index) => {
    trial[name] = values[index + 1];
  });
  const [first, ...columns] = trial.rows;
  trial.columns = {};
  store.head.metrics.forEach(([metric], index) => {
    trial.columns[metric] = columns[index];
  });
  trial.first = first;
  trial.epochs = Math.max(0, ...columns.map((column) => (column ? column.length : 0)));
  trial.lastEpoch = trial.epochs ? first + trial.epochs - 1 : 0;
  trial.result = {};
  store.head.results.forEach(([name], index) => {
    trial.result[name] = trial.results ? trial.results[index] : null;
  });
  trial.isRetraining = trial.stage === store.head.retraining;
  return trial;
}

// Takes in the whole data, or those of trials that changed.
function receive(values) {
  store.head = values;
  for (const each of values.trials) store.trials[each[0]] = decode(each);
  store.winners = new Set(values.winners);
  for (const listener of store.listeners) listener();
}

function last(trial, metric) {
  const column = trial.columns[metric];
  return column && column.length ? column[column.length - 1] : null;
}

// The metric by which trials of a stage compete, and whether more of it is better.
function metricOf(stage) {
  const known = store.head.stages[stage];
  return known ? { name: known.metric, isMax: known.mode === "max" } : { name: "training_mse", isMax: false };
}

const labelOf = (metric) => (store.head.metrics.find(([name]) => name === metric) || [metric, metric])[1];
const datasetLabel = (name) => store.head.datasets[name] || name;
const fieldIndex = (name) => store.head.fields.findIndex(([field]) => field === name);

// A number as the tables show it, with a few more digits.
function shown(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value)) return value.toLocaleString("en", { useGrouping: Math.abs(value) >= 10000 });
  const size = Math.abs(value);
  return size < 1e-4 || size >= 1e6 ? value.toExponential(3) : String(Number(value.toPrecision(5)));
}

// A measured number, all of a column with as many significant digits.
function measured(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (value === 0 || (Number.isInteger(value) && size < 1e15)) return shown(value);
  return size < 1e-4 || size >= 1e5 ? value.toExponential(3) : value.toPrecision(4);
}

const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
