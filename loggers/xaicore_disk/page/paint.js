// Pictures under their heatmaps. CSS and SVG filters scale the grey map, colour it and make it transparent.

/** Rows of older versions have no grey map: they show the coloured files. */
function kindOf(row) {
  return ["grey", "overlay", "heatmap"].find((column) => file(row, column)) ?? "none";
}

/** Fill a stack of photo, heat and line: with a part of a strip, or with all of it if `part` is null. */
function paint(stack, row, scale, part = null) {
  const alone = stack.classList.contains("alone") || !row.picture;
  const kind = alone && kindOf(row) === "overlay" ? "heatmap" : kindOf(row);
  stack.dataset.kind = kind;
  stack.classList.toggle("bare", !row.picture);
  stack.classList.toggle("signed", Boolean(row.signed));
  stack.classList.toggle("tiny", (row.size?.[1] ?? Infinity) / sheetOf(row)[0] <= 64);
  setPart(stack, row, part);
  stack.style.setProperty("--factor", scale);
  show(stack.querySelector(".photo"), row.picture);
  show(stack.querySelector(".heat"), kind === "none" ? null : file(row, kind));
  show(stack.querySelector(".line"), kind === "grey" ? file(row, "outline") : null);
  drawBox(stack, row);
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

/** Fill the card of a row at a step; of a clip it shows the frame `part`. */
function fillCard(card, row, scale, at, part) {
  const find = (selector) => card.querySelector(selector);
  card.href = file(row, "overlay") ?? file(row, "heatmap") ?? file(row, "map");
  fillStage(find(".stage"), row, scale, part);
  fillFilm(card, row, scale, part);
  find(".note").textContent = notes(row, at).join(" · ");
  nameCard(find(".id"), row.id);
  find(".target b").textContent = find(".target b").title = targetName(row);
  find(".score").textContent = scoreText(row);
  find(".meter").hidden = !isProbability(row);
  find(".meter i").style.setProperty("--share", isProbability(row) ? row.score : 0);
  find(".verdict").textContent = find(".verdict").title = verdictText(row);
  setVerdict(card, row);
}

/** Fill the stacks: one for a picture or for a frame of a clip, one for each view where views have no order. */
function fillStage(stage, row, scale, part) {
  const [columns, lines] = tiling(row);
  stage.style.setProperty("--columns", columns);
  stage.style.setProperty("--lines", lines);
  const tiles = isPlayable(row) ? 1 : partsOf(row);
  stacksOf(stage, tiles).forEach((stack, i) => {
    const here = tiles > 1 ? i : part;
    const name = partsOf(row) > 1 ? partName(row, here) : "";
    paint(stack, row, scale, here);
    stack.querySelector(row.picture ? ".photo" : ".heat").alt = [describe(row), name].filter(Boolean).join(", ");
    stack.querySelector(".label").textContent = stack.querySelector(".label").title = name;
  });
}

/** The first element of this class, made of the template of that name if there is none. */
function ensure(host, name) {
  const made = () => document.getElementById(name).content.firstElementChild.cloneNode(true);
  return host.querySelector(`.${name}`) ?? host.appendChild(made());
}

/** Fill the strip of all frames below, and mark the one that is shown above; of a sheet, the evidence in each slice. */
function fillFilm(card, row, scale, part) {
  const [other, isFilm] = isSheet(row) ? [".film", false] : [".profile", isPlayable(row)];
  card.querySelector(other)?.remove();
  if (isSheet(row) && isPlayable(row)) return fillProfile(ensure(card, "profile"), row, part);
  if (!isFilm) return card.querySelector(".film")?.remove();
  const film = ensure(card, "film");
  paint(film.querySelector(".stack"), row, scale);
  const values = { "--film-shape": partShape(row) * partsOf(row), "--parts": partsOf(row), "--part": part };
  for (const [name, value] of Object.entries(values)) film.style.setProperty(name, value);
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

/** Name the ends of the scale; that of signed maps goes from evidence against the target to evidence for it. */
function nameEnds(legend, signed, top) {
  legend.classList.toggle("signed", signed);
  legend.querySelector(".bottom").textContent = signed ? "against" : "0";
  legend.querySelector(".top").textContent = signed ? `for: ${top}` : top;
}

function notes(row, at) {
  const texts = [];
  if (kindOf(row) === "none") texts.push("no picture of this map");
  if (row.empty) texts.push(row.signed ? "no evidence" : "no positive evidence");
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
