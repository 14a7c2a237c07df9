// The large view of one place: picture, overlay and heatmap, the scores over the steps, all values of the row.

const dialog = document.getElementById("large");
const within = (selector) => dialog.querySelector(selector);

/**
 * Fill the view for faces: that of a row, and those beside it. `selection` has its history; `shared`: one scale over all
 * steps.
 */
function fillLarge([face, ...others], selection, shared) {
  const { row } = face;
  within("#large-id").textContent = row.id;
  within(".badge").textContent = within(".badge").title = badgeText(row);
  setVerdict(within(".badge"), row);
  fillViews(row, face.scale);
  fillLegend(within(".legend"), row, selection, shared);
  fillCompared(others, face);
  fillReel(row, face.scale);
  fillOthers(row, selection);
  const history = historyOf(row, selection);
  drawCurve(within(".curve"), history, row, goTo);
  fillCourse(history, row);
  fillFacts(row);
}

function badgeText(row) {
  const right = verdict(row);
  if (right === null) return "";
  const predicted = className(row.predicted_name, row.predicted);
  return right ? `✓ right: ${predicted}` : `✗ wrong: ${predicted}, truth: ${className(row.truth_name, row.truth)}`;
}

function fillViews(row, scale) {
  const [photo, overlay, heatmap] = dialog.querySelectorAll(".views figure");
  photo.hidden = !row.picture;
  overlay.hidden = !row.picture || kindOf(row) === "none";
  heatmap.hidden = kindOf(row) === "none";
  paint(photo.querySelector(".stack"), row, scale);
  photo.querySelector("img").alt = row.id;
  paint(overlay.querySelector(".stack"), row, scale);
  overlay.querySelector("img").alt = describe(row);
  paint(heatmap.querySelector(".stack"), row, scale);
  heatmap.querySelector("img").alt = `heatmap of ${row.method} for ${targetName(row)}`;
  const links = [row.picture, file(row, "overlay"), file(row, "heatmap")];
  [photo, overlay, heatmap].forEach((figure, i) => setLink(figure.querySelector("a"), links[i]));
  overlay.querySelector("figcaption").textContent = `${row.method} for ${targetName(row)}`;
  within(".views").style.setProperty("--shape", partShape(row));
  within(".views").classList.toggle("wide", partShape(row) > WIDE);
  within(".under").hidden = heatmap.hidden;
}

function setLink(link, target) {
  if (target === null) link.removeAttribute("href");
  else link.href = target;
}

/** Label the top of the scale, and mark this map's maximum if it is lower. */
function fillLegend(legend, row, selection, shared) {
  const own = kindOf(row) !== "grey";
  const share = own ? 1 : factor(row, selection, shared);
  nameEnds(legend, Boolean(row.signed), own ? peakName(row) : topText(row, selection, shared));
  const mark = legend.querySelector("i");
  mark.hidden = share >= 1;
  mark.style.setProperty("--share", row.signed ? 0.5 + share / 2 : share);
  mark.title = `${peakName(row)}, ${number(row.peak)}`;
}

/** What the top of a map's own scale is. Single pixels of a map of pixels are far above all others. */
function peakName({ scaling }) {
  return scaling === "robust" ? "this map's 99th percentile" : "this map's maximum";
}

function topText(row, selection, shared) {
  if (shared) {
    const top = highest(historyOf(row, selection));
    const name = row.scaling === "robust" ? "the highest percentile" : "the maximum";
    return `${number(top.peak)}, ${name} over all steps${top.step === null ? "" : ` (${stepName(top.step)})`}`;
  }
  return row.ceiling === null ? `${number(row.peak)}, ${peakName(row)}` : `${number(row.ceiling)}, a fixed scale`;
}

/** Thumbnails of all maps of this picture at this step, as buttons. */
function fillOthers(row, selection) {
  const isShown = (other) => kindOf(other) !== "none" && (other === row || !isFiller(other, selection));
  const others = byPicture.get(pictureKey(row)).filter((other) => other.at === row.at && isShown(other));
  const list = within(".others");
  list.hidden = others.length < 2;
  if (list.hidden) return;
  list.replaceChildren(...others.map((other) => thumbnail(other, other === row)));
  const here = others.indexOf(row); // a map without a picture has no thumbnail
  if (here >= 0) reveal(list, list.children[here]);
}

function thumbnail(row, pressed) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  button.setAttribute("aria-pressed", pressed);
  const stack = within(".overlay .stack").cloneNode(true);
  stack.classList.add("small");
  for (const image of stack.children) image.alt = "";
  const scale = row.ceiling === null ? 1 : row.ceiling > 0 ? row.peak / row.ceiling : 0;
  paint(stack, row, scale, partsOf(row) > 1 ? strongest(row) : null);
  const label = document.createElement("span");
  label.textContent = otherName(row);
  button.append(stack, label);
  button.addEventListener("click", () => chooseMap(row));
  item.append(button);
  return item;
}

function otherName(row) {
  const alike = byPicture.get(pictureKey(row)).filter((other) => other.at === row.at);
  const several = (name) => new Set(alike.map((other) => other[name])).size > 1;
  const texts = several("run") ? [data.runs[row.run].name] : [];
  if (several("method")) texts.push(row.method);
  if (several("layer")) texts.push(row.layer);
  if (several("k")) texts.push(targetName(row));
  return texts.join(" · ");
}

/** The table of the curve's values; each step is a button that goes to it. */
function fillCourse(history, current) {
  within(".course").hidden = history.length < 2;
  const body = within(".course tbody");
  body.replaceChildren(...history.map((row) => courseRow(row, row === current)));
  within("table").classList.toggle("same", history.every((row) => row.target === row.predicted));
  const line = body.querySelector("[aria-current]");
  const scroller = within(".course .scroll");
  if (line) scroller.scrollTop = line.offsetTop - scroller.clientHeight / 2;
}

function courseRow(row, current) {
  const line = document.createElement("tr");
  if (current) line.setAttribute("aria-current", "step");
  const step = document.createElement("button");
  step.type = "button";
  step.textContent = row.step ?? "none";
  step.addEventListener("click", () => goTo(row));
  const predicted = row.predicted === null ? "" : className(row.predicted_name, row.predicted);
  const values = [step, predicted, targetName(row), scoreText(row), number(row.raw_score)];
  values.forEach((value, i) => {
    const cell = line.insertCell();
    cell.append(value);
    if (i > 2) cell.className = "number";
  });
  setVerdict(line.cells[1], row);
  return line;
}

function fillFacts(row) {
  const named = (name, index) => {
    if (index === null || index < 0) return null;
    return String(index) ? `${className(name, index)} (${index})` : name; // no label at all
  };
  const facts = {
    step: row.step,
    group: row.group,
    target: row.target < 0 ? row.asked : `${named(row.target_name, row.target)}, asked: ${row.asked}`,
    score: scoreText(row),
    "raw score": number(row.raw_score),
    predicted: named(row.predicted_name, row.predicted),
    truth: named(row.truth_name, row.truth),
    box: row.target_box === null ? null : row.target_box.map((x) => number(x)).join(", "),
    evidence: row.empty ? (row.signed ? "none" : "none: no positive evidence") : row.signed ? "signed" : "positive",
    method: row.method,
    layer: row.layer,
    [peakName(row).replace("this ", "")]: row.peak === null ? null : number(row.peak),
  };
  const list = within(".facts");
  list.replaceChildren();
  for (const [term, value] of Object.entries(facts)) if (value !== null) addFact(list, term, value);
  addFact(list, "files", ...fileLinks(row));
}

function addFact(list, term, ...values) {
  const pair = document.createElement("div");
  const [name, value] = [document.createElement("dt"), document.createElement("dd")];
  name.textContent = term;
  value.append(...values);
  pair.append(name, value);
  list.append(pair);
}

function fileLinks(row) {
  const columns = ["overlay", "heatmap", "map", "volume", "animation"];
  const paths = [row.picture, ...columns.map((column) => file(row, column))];
  const texts = ["picture", "overlay", "heatmap", "raw map (.npy)", "NIfTI", "animation"];
  return paths.flatMap((path, i) => {
    if (path === null) return [];
    const link = document.createElement("a");
    link.href = path;
    link.textContent = texts[i];
    return [link, " "];
  });
}
