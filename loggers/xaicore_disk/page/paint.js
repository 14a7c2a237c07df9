// Pictures under their heatmaps. CSS and SVG filters scale the grey map, colour it and make it transparent.

/** Rows of older versions have no grey map: they show the coloured files. */
function kindOf(row) {
  return ["grey", "overlay", "heatmap"].find((column) => file(row, column)) ?? "none";
}

/** Fill a stack of photo, heat and line. */
function paint(stack, row, scale) {
  const alone = stack.classList.contains("alone") || !row.picture;
  const kind = alone && kindOf(row) === "overlay" ? "heatmap" : kindOf(row);
  stack.dataset.kind = kind;
  stack.classList.toggle("bare", !row.picture);
  stack.classList.toggle("tiny", (row.size?.[1] ?? Infinity) <= 64);
  stack.style.setProperty("--factor", scale);
  show(stack.querySelector(".photo"), row.picture);
  show(stack.querySelector(".heat"), kind === "none" ? null : file(row, kind));
  show(stack.querySelector(".line"), kind === "grey" ? file(row, "outline") : null);
}

/** Set an image's source, unless it is the same: setting it would load it again. */
function show(image, source) {
  if (!image) return;
  image.hidden = source === null;
  if (source === null) image.removeAttribute("src");
  else if (image.getAttribute("src") !== source) image.src = source;
}

function describe(row) {
  return `${row.method} for ${targetName(row)} over ${row.id}`;
}

/** Fill the card of a row at a step. */
function fillCard(card, row, scale, at) {
  const find = (selector) => card.querySelector(selector);
  card.href = file(row, "overlay") ?? file(row, "heatmap") ?? file(row, "map");
  paint(find(".stack"), row, scale);
  find(row.picture ? ".photo" : ".heat").alt = describe(row);
  find(".note").textContent = notes(row, at).join(" · ");
  nameCard(find(".id"), row.id);
  find(".target b").textContent = find(".target b").title = targetName(row);
  find(".score").textContent = scoreText(row);
  find(".meter").hidden = !isProbability(row);
  find(".meter i").style.setProperty("--share", isProbability(row) ? row.score : 0);
  find(".verdict").textContent = find(".verdict").title = verdictText(row);
  setVerdict(card, row);
}

/** Split the id so that the style can shorten a long path and keep its end. */
function nameCard(element, id) {
  const end = id.lastIndexOf("/", id.length - 2) + 1;
  const parts = [id.slice(0, end), id.slice(end)].filter(Boolean).map((text) => {
    const span = document.createElement("span");
    span.textContent = text;
    return span;
  });
  element.replaceChildren(...parts);
  element.title = id;
}

function notes(row, at) {
  const texts = [];
  if (kindOf(row) === "none") texts.push("no picture of this map");
  if (row.empty) texts.push("no positive evidence");
  if (row.at !== at) texts.push(`from ${stepName(row.step)}`);
  return texts;
}

/** The prediction if it is not the target, the truth if the prediction is wrong. */
function verdictText(row) {
  const texts = [];
  if (row.predicted !== null && row.predicted !== row.target) {
    texts.push(`predicted: ${className(row.predicted_name, row.predicted)}`);
  }
  if (verdict(row) === false) texts.push(`truth: ${className(row.truth_name, row.truth)}`);
  const sign = { true: "✓", false: "✗", null: "" }[verdict(row)];
  return `${sign} ${texts.join(", ") || (verdict(row) ? "right" : "")}`.trim();
}

function setVerdict(element, row) {
  element.dataset.right = String(verdict(row));
}
