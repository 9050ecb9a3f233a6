// Learning curves of the chosen trials, or of the best ones of those listed while none is chosen.

const curves = { metric: "", isLog: true, trials: [], line: 0, epoch: 0 };
const MAX_CURVES = 40;

function drawnTrials() {
  const picked = [...chosen].map((number) => store.trials[number]).filter((trial) => trial && trial.epochs);
  if (picked.length) return picked.slice(0, MAX_CURVES);
  const listed = listing.found.filter((trial) => trial.epochs);
  const stage = listed.length ? listed[0].stage : "";
  const { name, isMax } = metricOf(stage);
  return listed
    .filter((trial) => trial.stage === stage && trial.dataset === listed[0].dataset)
    .sort((a, b) => compareKeys(last(a, name), last(b, name), isMax ? -1 : 1))
    .slice(0, 8);
}

function showCurveControls() {
  const available = store.head.metrics.filter(([metric]) => curves.trials.some((trial) => trial.columns[metric]));
  if (!available.some(([metric]) => metric === curves.metric)) {
    const preferred = curves.trials.length ? metricOf(curves.trials[0].stage).name : "";
    curves.metric = available.some(([metric]) => metric === preferred)
      ? preferred
      : available.length
        ? available[0][0]
        : "";
  }
  const log = element("input", {
    type: "checkbox",
    change: (event) => {
      curves.isLog = event.target.checked;
      showCurves();
    },
  });
  log.checked = curves.isLog;
  const what = chosen.size
    ? `${plural(chosen.size, "trial")} chosen${chosen.size > MAX_CURVES ? `, the first ${MAX_CURVES} drawn` : ""}`
    : "None chosen: the best of those listed first";
  $("curve-controls").replaceChildren(
    field(
      "Metric",
      choice(available, curves.metric, (value) => {
        curves.metric = value;
        showCurves();
      }),
    ),
    element("label", { class: "check" }, log, " Logarithmic"),
    button("Choose the first 10 listed", () => {
      chosen.clear();
      listing.found
        .filter((trial) => trial.epochs)
        .slice(0, 10)
        .forEach((trial) => chosen.add(trial.number));
      showTrials();
    }),
    button(
      "Choose none",
      () => {
        chosen.clear();
        showTrials();
      },
      { disabled: !chosen.size },
    ),
    element("span", { class: "muted" }, what),
  );
}

function styleOf(index) {
  const colours = COLOURS[scheme()];
  return { color: colours[index % colours.length], type: DASHES[Math.floor(index / colours.length) % DASHES.length] };
}

function curveOptions() {
  const ink = INKS[scheme()];
  const rungs = [
    ...new Set(curves.trials.flatMap((trial) => (store.head.stages[trial.stage] || { rungs: [] }).rungs)),
  ].sort((a, b) => a - b);
  const positive = curves.trials.every((trial) =>
    (trial.columns[curves.metric] || []).every((value) => value === null || value > 0),
  );
  const label = labelOf(curves.metric);
  const values = curves.trials.flatMap((trial) => trial.columns[curves.metric] || []).filter((value) => value !== null);
  const isLog = curves.isLog && positive && values.length > 0;
  return {
    animation: false,
    textStyle: { fontFamily: "inherit" },
    aria: { enabled: false },
    grid: { left: 12, right: 24, top: 52, bottom: 34, containLabel: true },
    tooltip: tooltip({
      trigger: "axis",
      order: "valueAsc",
      formatter: curveTip,
      axisPointer: { type: "line", lineStyle: { color: ink.muted } },
    }),
    xAxis: axis({
      type: curves.isLog ? "log" : "value",
      name: "Epoch",
      nameLocation: "middle",
      nameGap: 26,
      min: 1,
      max: Math.max(2, ...curves.trials.map((trial) => trial.lastEpoch)),
      splitLine: { show: false },
      logBase: 2,
      minInterval: 1,
    }),
    yAxis: axis({
      type: isLog ? "log" : "value",
      name: label,
      nameLocation: "end",
      nameGap: 28,
      nameTextStyle: { align: "left", color: ink.muted, fontSize: 12 },
      scale: true,
      ...(isLog ? { min: Math.min(...values) / 1.05, max: Math.max(...values) * 1.05 } : {}),
      axisLabel: {
        color: ink.text,
        fontSize: 12,
        formatter: short,
        ...(isLog ? { customValues: logTicks(Math.min(...values) / 1.05, Math.max(...values) * 1.05) } : {}),
      },
      axisTick: {
        lineStyle: { color: ink.muted },
        ...(isLog ? { customValues: logTicks(Math.min(...values) / 1.05, Math.max(...values) * 1.05) } : {}),
      },
    }),
    series: curves.trials.map((trial, index) => ({
      type: "line",
      name: plainText(trial.name),
      symbol: "circle",
      symbolSize: 6,
      showSymbol: trial.epochs === 1,
      itemStyle: { color: styleOf(index).color },
      lineStyle: { width: 2, ...styleOf(index) },
      emphasis: { focus: "series" },
      triggerLineEvent: true,
      data: (trial.columns[curves.metric] || []).map((value, position) => [trial.first + position, value]),
      markLine: index
        ? undefined
        : {
            silent: true,
            symbol: "none",
            animation: false,
            lineStyle: { color: ink.muted, type: [2, 4], width: 1.5 },
            label: { formatter: (mark) => `rung ${mark.value}`, color: ink.muted, fontSize: 11 },
            data: rungs.map((rung) => ({ xAxis: rung })),
          },
    })),
  };
}

function curveTip(points) {
  const { isMax } = metricOf(curves.trials[0].stage);
  const isBetterHigh =
    curves.metric === "validation_psnr_db" || (isMax && curves.metric === metricOf(curves.trials[0].stage).name);
  const known = points
    .filter((point) => point.value[1] !== null)
    .sort((a, b) => compareKeys(a.value[1], b.value[1], isBetterHigh ? -1 : 1));
  const more = known.length > 10 ? [`and ${known.length - 10} more`] : [];
  return [
    `Epoch ${points[0].value[0]}, ${labelOf(curves.metric)}`,
    ...known.slice(0, 10).map((point) => `${measured(point.value[1])}  ${point.seriesName}`),
    ...more,
  ].join("\n");
}

function showCurves() {
  curves.trials = drawnTrials();
  showCurveControls();
  const place = $("curve-chart");
  place.hidden = !curves.trials.length;
  if (!curves.trials.length) {
    $("curve-legend").replaceChildren(element("p", {}, "No trial that is listed has an epoch yet."));
    return;
  }
  place.setAttribute(
    "aria-label",
    `Learning curves: ${labelOf(curves.metric)} of ${plural(curves.trials.length, "trial")} over epochs`,
  );
  chartIn(place, curveOptions);
  curves.line = Math.min(curves.line, curves.trials.length - 1);
  $("curve-legend").replaceChildren(
    plainTable(
      ["", "Trial", "State", "Epochs", `${labelOf(curves.metric)}, last`, "Best"],
      curves.trials.map((trial, index) => {
        const known = (trial.columns[curves.metric] || []).filter((value) => value !== null);
        const isBetterHigh = curves.metric === "validation_psnr_db";
        return [
          swatch(index),
          button(trial.name, () => showTrial(trial), { class: "source-trial", "aria-haspopup": "dialog" }),
          trial.state,
          trial.lastEpoch,
          last(trial, curves.metric),
          known.length ? known.reduce((a, b) => (isBetterHigh ? Math.max(a, b) : Math.min(a, b))) : null,
        ];
      }),
      "The trials drawn",
    ),
  );
}

// A line as the chart draws it.
function swatch(index) {
  const namespace = "http://www.w3.org/2000/svg";
  const made = document.createElementNS(namespace, "svg"),
    line = document.createElementNS(namespace, "line");
  const { color, type } = styleOf(index);
  for (const [name, value] of Object.entries({ width: 34, height: 10, viewBox: "0 0 34 10", "aria-hidden": "true" }))
    made.setAttribute(name, value);
  const dashes = { solid: "none", dashed: "6 4", dotted: "2 3" }[type] || type.join(" ");
  for (const [name, value] of Object.entries({
    x1: 1,
    x2: 33,
    y1: 5,
    y2: 5,
    stroke: color,
    "stroke-width": 2.5,
    "stroke-dasharray": dashes,
  }))
    line.setAttribute(name, value);
  made.append(line);
  return made;
}
darkScheme.addEventListener("change", () => showCurves());

function moveInCurves(event) {
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  if (!step || !curves.trials.length) return;
  event.preventDefault();
  curves.line = (curves.line + step[0] + curves.trials.length) % curves.trials.length;
  const trial = curves.trials[curves.line];
  curves.epoch = Math.min(Math.max((curves.epoch || trial.first - 1) + step[1], trial.first), trial.lastEpoch);
  const { chart } = charts.get($("curve-chart"));
  chart.dispatchAction({ type: "showTip", seriesIndex: curves.line, dataIndex: curves.epoch - trial.first });
  chart.dispatchAction({ type: "downplay" });
  chart.dispatchAction({ type: "highlight", seriesIndex: curves.line });
  const decision = trial.decisions.find(([epoch]) => epoch === curves.epoch);
  $("curve-value").textContent =
    `${trial.name}, epoch ${curves.epoch}: ${labelOf(curves.metric)} ${measured((trial.columns[curves.metric] || [])[curves.epoch - trial.first])}${decision ? `; a rung, decision: ${decision[1]}` : ""}`;
}
