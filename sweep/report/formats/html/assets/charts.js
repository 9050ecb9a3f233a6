// What the charts share: their colours, which follow the reader's scheme, and that they are drawn again with it.

// Okabe and Ito, without yellow; lines differ in their dashes too.
const COLOURS = {
  light: ["#0072B2", "#D55E00", "#009E73", "#B0568A", "#B07800", "#3A8FC4"],
  dark: ["#5DB3E8", "#F08A4B", "#3CC79A", "#E29BC4", "#E6AE3C", "#A6D8F5"],
};
const DASHES = ["solid", "dashed", "dotted", [8, 3, 2, 3]];
const INKS = {
  light: { text: "#1c2024", muted: "#5d666f", line: "#d9dee3", page: "#ffffff", card: "#ffffff" },
  dark: { text: "#e6e9ec", muted: "#a3acb5", line: "#3a4149", page: "#14171a", card: "#1d2125" },
};
const darkScheme = matchMedia("(prefers-color-scheme: dark)");
let isPrinting = false;
const scheme = () => (darkScheme.matches && !isPrinting ? "dark" : "light");
const charts = new Map(); // by element: the chart and what draws it

// Draws a chart into an element, and again whenever its size or the scheme changes.
function chartIn(place, options, renderer = "svg") {
  let known = charts.get(place);
  if (known && known.renderer !== renderer) {
    known.chart.dispose();
    known = null;
  }
  if (!known) {
    known = { chart: echarts.init(place, null, { renderer }), renderer };
    charts.set(place, known);
  }
  known.options = options;
  known.chart.resize();
  known.chart.setOption(options(), { notMerge: true });
  return known.chart;
}

function redraw() {
  for (const { chart, options } of charts.values()) {
    chart.resize();
    chart.setOption(options(), { notMerge: true });
  }
}

let isWaiting = false;
new ResizeObserver(() => {
  if (isWaiting) return;
  isWaiting = true;
  requestAnimationFrame(() => {
    isWaiting = false;
    for (const { chart } of charts.values()) chart.resize();
  });
}).observe(document.body);
darkScheme.addEventListener("change", redraw);
addEventListener("beforeprint", () => {
  isPrinting = true;
  redraw();
});
addEventListener("afterprint", () => {
  isPrinting = false;
  redraw();
});

// A tooltip without markup of its own: the policy of the page allows none.
function tooltip(more) {
  const ink = INKS[scheme()];
  return {
    renderMode: "richText",
    backgroundColor: ink.card,
    borderColor: ink.muted,
    borderWidth: 1,
    padding: 8,
    confine: true,
    textStyle: { color: ink.text, fontSize: 12, lineHeight: 17 },
    ...more,
  };
}

const short = (value) => (typeof value === "number" ? String(Number(value.toPrecision(3))) : String(value));

// Plain numbers on a logarithmic axis: 1, 2 and 5, or more of them where the range is short.
function logTicks(low, high) {
  const steps =
    high / low > 8
      ? [1, 2, 5]
      : high / low > 2
        ? [1, 1.5, 2, 3, 4, 5, 6, 8]
        : [1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9];
  const found = [];
  for (let exponent = Math.floor(Math.log10(low)); exponent <= Math.log10(high); exponent += 1) {
    for (const step of steps) {
      const tick = Number((step * 10 ** exponent).toPrecision(3));
      if (tick >= low && tick <= high) found.push(tick);
    }
  }
  return found;
}

// Braces would begin a style in ECharts' rich text.
const plainText = (text) => String(text).replace(/[{}|]/g, " ");

function axis(more) {
  const ink = INKS[scheme()];
  return {
    axisLine: { lineStyle: { color: ink.muted } },
    axisTick: { lineStyle: { color: ink.muted } },
    axisLabel: { color: ink.text, fontSize: 12 },
    nameTextStyle: { color: ink.muted, fontSize: 12 },
    splitLine: { lineStyle: { color: ink.line } },
    minorSplitLine: { show: false },
    ...more,
  };
}
