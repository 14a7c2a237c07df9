// The large view where maps are side by side: the overlays of the others beside that of the selected map.

const MOST = 4; // pictures in a line

/** Show these faces beside the overlay that is there, each with its name, score and verdict; none: as without. */
function fillCompared(faces, own) {
  const views = within(".views");
  for (const figure of views.querySelectorAll(".other")) figure.remove();
  views.classList.toggle("compared", faces.length > 0);
  if (!faces.length) return;
  within(".views figure.heatmap").hidden = true; // each has its own; the overlays are what one compares
  fillCaption(within(".views .overlay figcaption"), own);
  nameEnds(within(".legend"), Boolean(own.row.signed), scaleText); // instead of the values of one map
  within(".legend i").hidden = true;
  views.append(...faces.map(otherFigure));
  views.style.setProperty("--across", Math.min(faces.length + 2, MOST));
}

function otherFigure(face) {
  const figure = within(".views figure.overlay").cloneNode(true);
  figure.className = "other";
  figure.hidden = face.row !== null && kindOf(face.row) === "none";
  const stack = figure.querySelector(".stack");
  const caption = figure.querySelector("figcaption");
  if (face.row === null) {
    stack.replaceChildren();
    setLink(figure.querySelector("a"), null);
    caption.replaceChildren(bold(face.name), " no such map");
    return figure;
  }
  paint(stack, face.row, face.scale);
  stack.querySelector(face.row.picture ? ".photo" : ".heat").alt = describe(face.row);
  setLink(figure.querySelector("a"), file(face.row, "overlay") ?? file(face.row, "heatmap"));
  fillCaption(caption, face);
  return figure;
}

/** "gradcam dog 0.912 ✓ right". */
function fillCaption(caption, { row, name, at }) {
  const verdict = document.createElement("span");
  verdict.className = "verdict";
  verdict.textContent = verdictText(row);
  setVerdict(verdict, row);
  const texts = [targetName(row), scoreText(row)];
  if (row.at !== at) texts.push(`from ${stepName(row.step)}`);
  caption.replaceChildren(bold(name), ` ${texts.join(" ")} `, verdict);
}

function bold(text) {
  const element = document.createElement("b");
  element.textContent = text;
  return element;
}
