// A picture's scores over the steps, as inline SVG.

const MARGIN = { left: 44, right: 12, top: 20, bottom: 18 };
const PANEL = 64; // the height of a panel
const GAP = 42; // between two panels; it has the name of the lower one
const STRIP = 10; // the height of the strip of right and wrong predictions

/** A panel for the probability and one for the raw score, above a strip of right and wrong predictions. */
function drawCurve(host, history, current, jump) {
  const points = history.filter((row) => row.step !== null);
  host.replaceChildren();
  host.hidden = points.length < 2;
  if (host.hidden) return;
  const panels = panelsOf(points);
  const width = Math.max(host.clientWidth, 240);
  const x = scale([points[0].step, points.at(-1).step], [MARGIN.left, width - MARGIN.right]);
  const strip = MARGIN.top + panels.length * (PANEL + GAP) - GAP + 12;
  const height = strip + STRIP + MARGIN.bottom;
  const svg = element("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img" });
  const chart = { svg, points, x, right: width - MARGIN.right, here: points.find((row) => row === current) };
  svg.setAttribute("aria-label", `${panels.map(({ name }) => name).join(" and ")} over the steps, as in the table`);
  drawNow(chart, strip);
  panels.forEach((panel, i) => drawPanel(chart, panel, MARGIN.top + i * (PANEL + GAP)));
  drawStrip(chart, strip);
  drawSteps(chart, height - 4);
  svg.addEventListener("click", ({ clientX }) => jump(nearest(points, x, clientX - svg.getBoundingClientRect().left)));
  host.append(svg);
}

/** The panels to draw: no probability if scores are raw scores, no raw score if there are none. */
function panelsOf(points) {
  const probability = { name: "probability", of: (row) => row.score, text: scoreText, range: [0, 1] };
  const raw = { name: "raw score", of: (row) => row.raw_score, text: (row) => number(row.raw_score) };
  raw.range = extent(points.map(raw.of));
  const probable = points.every((row) => row.score === null || isProbability(row));
  return [probable && probability, raw.range && raw].filter(Boolean);
}

/** [minimum, maximum] of the values, widened by 1 on each side if they are equal; null without values. */
function extent(values) {
  const finite = values.filter((value) => value !== null);
  if (!finite.length) return null;
  const [low, high] = [Math.min(...finite), Math.max(...finite)];
  return low === high ? [low - 1, high + 1] : [low, high];
}

function scale([from, to], [start, end]) {
  return (value) => start + ((value - from) / (to - from)) * (end - start);
}

function drawNow({ svg, x, here }, bottom) {
  if (!here) return;
  const at = x(here.step);
  svg.append(element("line", { class: "now", x1: at, x2: at, y1: MARGIN.top - 6, y2: bottom + STRIP }));
}

function drawPanel({ svg, points, x, right, here }, { name, of, text, range }, top) {
  const y = scale(range, [top + PANEL, top]);
  for (const value of range) {
    svg.append(element("line", { class: "rule", x1: MARGIN.left, x2: right, y1: y(value), y2: y(value) }));
    svg.append(label({ x: MARGIN.left - 6, y: y(value) + 4, "text-anchor": "end" }, number(value)));
  }
  svg.append(label({ class: "name", x: MARGIN.left, y: top - 7 }, name));
  if (here) svg.append(label({ class: "value", x: right, y: top - 7, "text-anchor": "end" }, text(here)));
  const finite = points.filter((row) => of(row) !== null);
  svg.append(element("path", { class: "course", d: path(finite, x, (row) => y(of(row))) }));
  for (const row of finite) {
    const kind = row === here ? { class: "dot here", r: 5 } : { class: "dot", r: points.length > 60 ? 1.5 : 3 };
    const dot = element("circle", { ...kind, cx: x(row.step), cy: y(of(row)) });
    dot.append(element("title", {}, `${stepName(row.step)}: ${targetName(row)} ${text(row)}`));
    svg.append(dot);
  }
}

/** A line from step to step, interrupted where the target changes to another class. */
function path(points, x, y) {
  const command = (row, i) => (i && points[i - 1].target === row.target ? "L" : "M");
  return points.map((row, i) => `${command(row, i)}${x(row.step)} ${y(row)}`).join("");
}

/** One segment per step, which ends half-way to the neighbouring steps. */
function drawStrip({ svg, points, x, right }, top) {
  const seam = points.length > 60 ? 0 : 1;
  points.forEach((row, i) => {
    const middle = (other) => (x(row.step) + x(other.step)) / 2;
    const from = i ? middle(points[i - 1]) : MARGIN.left;
    const to = i < points.length - 1 ? middle(points[i + 1]) : right;
    const segment = element("rect", { class: "segment", x: from, y: top, width: to - from - seam, height: STRIP });
    setVerdict(segment, row);
    if (row.predicted !== null) {
      const name = className(row.predicted_name, row.predicted);
      segment.append(element("title", {}, `${stepName(row.step)}: predicted ${name}`));
    }
    svg.append(segment);
  });
}

/** The first and the last step below, and the current one unless it would lie over these. */
function drawSteps({ svg, points, x, here }, y) {
  const [first, last] = [points[0], points.at(-1)];
  svg.append(label({ x: x(first.step), y, "text-anchor": "start" }, first.step));
  svg.append(label({ x: x(last.step), y, "text-anchor": "end" }, last.step));
  const room = here ? Math.min(x(here.step) - x(first.step), x(last.step) - x(here.step)) : 0;
  if (room > 30) svg.append(label({ class: "value", x: x(here.step), y, "text-anchor": "middle" }, here.step));
}

function nearest(points, x, at) {
  const distance = (row) => Math.abs(x(row.step) - at);
  return points.reduce((best, row) => (distance(row) < distance(best) ? row : best));
}

function label(attributes, text) {
  return element("text", attributes, text);
}

function element(name, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}
