// Parallel coordinates of a stage's trials that ended, where there are enough of them.

const parallel = { place: "" };
const MIN_LINES = 8;
const MAX_SVG_LINES = 400; // more lines than these are drawn on a canvas
const STATES_ENDED = new Set(["completed", "stopped", "audited"]);
// From best to worst, by lightness too; the ends of cividis.
const SCALES = {
  light: ["#00224e", "#35456c", "#666970", "#948e77", "#c8b866"],
  dark: ["#fee838", "#c8b866", "#9aa0a6", "#6f8fc0", "#5a7fd0"],
};

// The axes on which trials differ, without those that another one is made of.
function chartedAxes(trials) {
  const axes = varyingAxes(trials);
  const parts = new Set(axes.flatMap((each) => store.head.derived[each.name] || []));
  return axes.filter((each) => !parts.has(each.name));
}

function endedByPlace() {
  const places = new Map();
  for (const trial of store.trials) {
    if (trial.isRetraining || !STATES_ENDED.has(trial.state) || last(trial, metricOf(trial.stage).name) === null)
      continue;
    const key = JSON.stringify([trial.stage, trial.dataset]);
    if (!places.has(key)) places.set(key, []);
    places.get(key).push(trial);
  }
  return new Map([...places].filter(([, trials]) => trials.length >= MIN_LINES && varyingAxes(trials).length));
}

function showParallel() {
  const places = endedByPlace();
  $("parallel-part").hidden = !places.size;
  $("parallel-entry").hidden = !places.size;
  if (!places.size) return;
  const wanted = [...places.keys()].find((key) => {
    const [stage, dataset] = JSON.parse(key);
    return stage === listing.stage && (!listing.dataset || dataset === listing.dataset);
  });
  if (wanted && listing.stage !== parallel.followed) parallel.place = wanted;
  parallel.followed = listing.stage;
  if (!places.has(parallel.place)) parallel.place = [...places.keys()][0];
  const label = (key) => {
    const [stage, dataset] = JSON.parse(key);
    return `${stage}, ${datasetLabel(dataset)} (${places.get(key).length})`;
  };
  const all = places.get(parallel.place);
  parallel.axes = chartedAxes(all);
  parallel.trials = all.filter((trial) => matches(trial) || (listing.stage && listing.stage !== trial.stage));
  // The best are drawn last, over the others.
  const { name: metric, isMax } = metricOf(all[0].stage);
  parallel.trials.sort((a, b) => compareKeys(last(a, metric), last(b, metric), isMax ? 1 : -1));
  $("parallel-controls").replaceChildren(
    field(
      "Stage",
      choice(
        [...places.keys()].map((key) => [key, label(key)]),
        parallel.place,
        (value) => {
          parallel.place = value;
          showParallel();
        },
      ),
    ),
    element(
      "span",
      { class: "muted" },
      `${parallel.trials.length.toLocaleString("en")} of ${plural(all.length, "trial")} drawn`,
    ),
  );
  const place = $("parallel-chart");
  place.setAttribute(
    "aria-label",
    `Parallel coordinates of ${plural(parallel.trials.length, "trial")} over ${parallel.axes.map((each) => each.label).join(", ")} and ${labelOf(metricOf(all[0].stage).name)}`,
  );
  const chart = chartIn(place, parallelOptions, parallel.trials.length > MAX_SVG_LINES ? "canvas" : "svg");
  chart.off("click");
  chart.on("click", (event) => {
    if (event.componentType === "series") showTrial(parallel.trials[event.dataIndex]);
  });
}

function parallelAxis(each, dim, values, more = {}) {
  const ink = INKS[scheme()];
  const isNumeric = values.every((value) => typeof value === "number");
  const base = {
    dim,
    name: each.label,
    nameLocation: "end",
    nameRotate: parallel.isNarrow ? 35 : 0,
    nameTextStyle: { color: ink.text, fontSize: 12 },
    axisLine: { lineStyle: { color: ink.muted } },
    axisTick: { lineStyle: { color: ink.muted } },
    axisLabel: { color: ink.text, fontSize: 11, formatter: short, textBorderColor: ink.card, textBorderWidth: 3 },
    ...more,
  };
  if (!isNumeric)
    return {
      ...base,
      type: "category",
      axisTick: { ...base.axisTick, alignWithLabel: true },
      data: [...new Set(values)].map(String).sort(collator.compare),
      axisLabel: { ...base.axisLabel, formatter: (text) => (text.length > 16 ? `${text.slice(0, 15)}…` : text) },
    };
  const low = Math.min(...values),
    high = Math.max(...values);
  return { ...base, type: low > 0 && high / low > 5 ? "log" : "value", min: low, max: high };
}

function parallelOptions() {
  const { name, isMax } = metricOf(parallel.trials.length ? parallel.trials[0].stage : "");
  const ink = INKS[scheme()];
  const all = endedByPlace().get(parallel.place) || [];
  parallel.isNarrow = $("parallel-chart").clientWidth < 90 * (parallel.axes.length + 1);
  const values = all.map((trial) => last(trial, name));
  const ordered = [...values].sort((a, b) => a - b);
  const scale = SCALES[scheme()];
  const isNumeric = parallel.axes.map((each) =>
    all.every((trial) => typeof trial.configuration[each.index] === "number"),
  );
  // Colours by rank, so that a few bad trials do not make all others look alike.
  const rank = (value) => ordered.indexOf(value) / Math.max(1, ordered.length - 1);
  return {
    animation: false,
    textStyle: { fontFamily: "inherit" },
    parallel: {
      left: parallel.isNarrow ? 32 : 72,
      right: 88,
      top: parallel.isNarrow ? 110 : 48,
      bottom: 28,
      axisExpandable: false,
      parallelAxisDefault: { areaSelectStyle: { color: ink.muted, opacity: 0.25, borderColor: ink.text } },
    },
    tooltip: tooltip({
      trigger: "item",
      formatter: (point) => {
        const trial = parallel.trials[point.dataIndex];
        return trial
          ? [
              plainText(trial.name),
              `${labelOf(name)} ${shown(last(trial, name))}`,
              `${trial.state} after ${plural(trial.lastEpoch, "epoch")}`,
              ...parallel.axes.map(
                (each) => `${plainText(each.label)} ${plainText(shown(trial.configuration[each.index]))}`,
              ),
            ].join("\n")
          : "";
      },
    }),
    parallelAxis: [
      ...parallel.axes.map((each, dim) =>
        parallelAxis(
          each,
          dim,
          all.map((trial) => trial.configuration[each.index]),
        ),
      ),
      parallelAxis({ label: labelOf(name) }, parallel.axes.length, values),
    ],
    series: [
      {
        type: "parallel",
        smooth: false,
        progressive: 500,
        inactiveOpacity: 0.06,
        activeOpacity: 1,
        emphasis: { lineStyle: { width: 3, opacity: 1 } },
        lineStyle: { width: 1.4, opacity: Math.min(0.75, Math.max(0.1, 150 / parallel.trials.length)) },
        data: parallel.trials.map((trial) => {
          const value = last(trial, name),
            place = isMax ? 1 - rank(value) : rank(value);
          return {
            value: [
              ...parallel.axes.map((each, dim) =>
                isNumeric[dim] ? trial.configuration[each.index] : String(trial.configuration[each.index]),
              ),
              value,
            ],
            lineStyle: { color: scale[Math.min(scale.length - 1, Math.floor(place * scale.length))] },
          };
        }),
      },
    ],
  };
}
