// Pictures under their heatmaps. The grey map is scaled, coloured and made transparent by filters of the style.

/** Rows without a grey map, from older versions, show the files as they were coloured then. */
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

/** Set a picture's source if it is another one, for setting it loads it again. */
function show(image, source) {
  if (!image) return;
  image.hidden = source === null;
  if (source === null) image.removeAttribute("src");
  else if (image.getAttribute("src") !== source) image.src = source;
}

function describe(row) {
  return `${row.method} for ${targetName(row)} over ${row.id}`;
}

/** Fill a card for a row that is shown at a step. */
function fillCard(card, row, scale, at) {
  const part = (name) => card.querySelector(name);
  card.href = file(row, "overlay") ?? file(row, "heatmap") ?? file(row, "map");
  paint(part(".stack"), row, scale);
  part(row.picture ? ".photo" : ".heat").alt = describe(row);
  part(".note").textContent = notes(row, at).join(" · ");
  nameCard(part(".id"), row.id);
  part(".target b").textContent = part(".target b").title = targetName(row);
  part(".score").textContent = scoreText(row);
  part(".meter").hidden = !isProbability(row);
  part(".meter i").style.setProperty("--share", isProbability(row) ? row.score : 0);
  part(".verdict").textContent = part(".verdict").title = verdictText(row);
  setVerdict(card, row);
}

/** Where there is no room for all of a path, its end stays. */
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
  const found = [];
  if (kindOf(row) === "none") found.push("no picture of this map");
  if (row.empty) found.push("no positive evidence");
  if (row.at !== at) found.push(`from ${stepName(row.step)}`);
  return found;
}

/** The words about the prediction that the target does not say. */
function verdictText(row) {
  const said = [];
  if (row.predicted !== null && row.predicted !== row.target) {
    said.push(`predicted: ${className(row.predicted_name, row.predicted)}`);
  }
  if (verdict(row) === false) said.push(`truth: ${className(row.truth_name, row.truth)}`);
  const sign = { true: "✓", false: "✗", null: "" }[verdict(row)];
  return `${sign} ${said.join(", ") || (verdict(row) ? "right" : "")}`.trim();
}

function setVerdict(element, row) {
  element.dataset.right = String(verdict(row));
}
