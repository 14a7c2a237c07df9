// Pictures under their heatmaps. CSS and SVG filters scale the grey map, colour it and make it transparent.

/** Rows of older versions have no grey map: they show the coloured files. */
function kindOf(row) {
  return ["grey", "overlay", "heatmap"].find((column) => file(row, column)) ?? "none";
}

/** The picture and the grey map, or their thumbnails: a card has no more pixels than these. */
function smallOf(row, kind) {
  return [row.picture_thumbnail ?? row.picture, (kind === "grey" && file(row, "thumbnail")) || file(row, kind)];
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
  const [photo, heat] = stack.classList.contains("small") ? smallOf(row, kind) : [row.picture, file(row, kind)];
  show(stack.querySelector(".photo"), photo);
  show(stack.querySelector(".heat"), heat);
  drawLine(stack, row);
  drawBoxes(stack, row);
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
