// The views of a picture, side by side in its files. They are shown in parts, one after the other: a part is a frame of
// a clip or a slice of a volume, with all inputs of that moment, or one of several views that have no order. The parts
// are in one line, a strip, or in several, a sheet.

/** Turn the row's views into a list; a row of an older version, or whose facts do not fit together, has one view. */
function readViews(row) {
  const views = row.views && JSON.parse(row.views);
  const fit = views?.length > 1 && row.view_maxima?.length === views.length && views.length % (row.frames ?? 1) === 0;
  row.views = fit ? views : null;
  if (!fit) row.frames = row.columns = null;
}

/** The columns and lines of parts in the row's files. */
function sheetOf(row) {
  const parts = partsOf(row);
  const columns = row.columns ? (row.columns * parts) / row.views.length : parts;
  return [columns, Math.ceil(parts / columns)];
}

/** Whether the parts are in several lines. */
function isSheet(row) {
  return sheetOf(row)[1] > 1;
}

/** What the parts of a row are called. */
function partWord(row) {
  return row.part ?? "frame";
}

/** The number of parts; 1 for a picture with one view. */
function partsOf(row) {
  return row.frames ?? row.views?.length ?? 1;
}

/** Whether the parts follow each other, so that they can be played. */
function isPlayable(row) {
  return (row.frames ?? 1) > 1;
}

/** What a list with an element per view has for a part. */
function ofPart(list, row, part) {
  const each = list.length / partsOf(row);
  return list.slice(part * each, (part + 1) * each);
}

function partName(row, part) {
  return ofPart(row.views, row, part).join(" | ");
}

/** The width of a part, in heights. */
function partShape(row) {
  const [columns, lines] = sheetOf(row);
  return row.size ? (row.size[1] * lines) / (row.size[0] * columns) : 1;
}

/** The maximum of the map in a part, as a share of that in all parts. */
function partShare(row, part) {
  const top = Math.max(...row.view_maxima);
  return top > 0 ? Math.max(...ofPart(row.view_maxima, row, part)) / top : 0;
}

/** The part with the highest maximum, the first one of several; 0 for a picture with one view. */
function strongest(row) {
  if (!row.views) return 0;
  const shares = Array.from({ length: partsOf(row) }, (_, part) => partShare(row, part));
  return shares.indexOf(Math.max(...shares));
}

/** The columns and lines in which a card shows the parts: frames one by one, up to three views in a line. */
function tiling(row) {
  const parts = isPlayable(row) ? 1 : partsOf(row);
  const columns = parts <= 3 ? parts : Math.ceil(Math.sqrt(parts));
  return [columns, Math.ceil(parts / columns)];
}

/** The width of what a card shows, in heights. */
function cardShape(row) {
  const [columns, lines] = tiling(row);
  return (partShape(row) * columns) / lines;
}

/** Let an element show a part of a strip or of a sheet; null: all of it. */
function setPart(element, row, part) {
  const is = part !== null && partsOf(row) > 1;
  element.classList.toggle("part", is);
  if (!is) return;
  const [columns, lines] = sheetOf(row);
  const [down, across] = row.size ?? [Infinity, Infinity];
  const values = {
    "--part-shape": partShape(row),
    "--pixels-across": across / columns,
    "--pixels-down": down / lines,
    "--across": columns,
    "--down": lines,
    "--column": part % columns,
    "--line": Math.floor(part / columns),
  };
  for (const [name, value] of Object.entries(values)) element.style.setProperty(name, value);
}

/** The stacks of a card, one per part that it shows at once; the first one is there already. */
function stacksOf(stage, count) {
  const first = stage.querySelector(".stack");
  const stacks = [...stage.querySelectorAll(".stack")];
  for (const stack of stacks.slice(count)) stack.remove();
  while (stage.children.length < count) stage.append(first.cloneNode(true));
  return [...stage.querySelectorAll(".stack")];
}
