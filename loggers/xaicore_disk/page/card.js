// Cards: one map with what is known of it, or two of the same picture side by side.

/** Fill a card with these faces: {row, scale, at, name}; `at` is the step, `name` the map's where there are two. */
function fillCard(card, faces, part) {
  const template = card.querySelector(".face");
  while (card.children.length < faces.length) card.append(template.cloneNode(true));
  while (card.children.length > faces.length) card.lastElementChild.remove();
  const [{ row }] = faces;
  card.href = file(row, "overlay") ?? file(row, "heatmap") ?? file(row, "map");
  faces.forEach((face, i) => fillFace(card.children[i], face, part));
}

/** Fill a face; of a clip it shows the frame `part`. Without a row, it says that there is no such map. */
function fillFace(face, { row, scale, at, name }, part) {
  const find = (selector) => face.querySelector(selector);
  face.classList.toggle("lacking", row === null);
  find(".tag").textContent = find(".tag").title = name ?? "";
  if (row === null) return setVerdict(face, null);
  const shown = Math.min(part, partsOf(row) - 1);
  fillStage(find(".stage"), row, scale, shown);
  fillFilm(face, row, scale, shown);
  find(".note").textContent = notes(row, at).join(" · ");
  nameCard(find(".id"), row.id);
  find(".target b").textContent = find(".target b").title = targetName(row);
  find(".score").textContent = scoreText(row);
  find(".meter").hidden = !isProbability(row);
  find(".meter i").style.setProperty("--share", isProbability(row) ? row.score : 0);
  find(".verdict").textContent = find(".verdict").title = verdictText(row);
  setVerdict(face, row);
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
function fillFilm(face, row, scale, part) {
  const [other, isFilm] = isSheet(row) ? [".film", false] : [".profile", isPlayable(row)];
  face.querySelector(other)?.remove();
  if (isSheet(row) && isPlayable(row)) return fillProfile(ensure(face, "profile"), row, part);
  if (!isFilm) return face.querySelector(".film")?.remove();
  const film = ensure(face, "film");
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
  element.dataset.right = String(row && verdict(row));
}
