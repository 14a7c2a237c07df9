// The rows of the runs, and their selection by run, group, method, layer and target.

const data = JSON.parse(document.getElementById("data").textContent);
const rows = decode(data);
const steps = [...new Set(rows.map((row) => row.step))].sort((a, b) => (a ?? -Infinity) - (b ?? -Infinity));
const position = new Map(steps.map((step, at) => [step, at]));
for (const row of rows) row.at = position.get(row.step);
/** Pairs of a run's number and name, of those in which something was explained. */
const runs = data.runs.map(({ name }, i) => [i, name]).filter(([i]) => rows.some(({ run }) => run === i));
const byPicture = Map.groupBy(rows, (row) => pictureKey(row));

/** From columns to one object per row; `text` holds indices into `texts`, `same` what all rows have in common. */
function decode({ texts, text, plain, same, rows: count }) {
  return Array.from({ length: count }, (_, i) => {
    const row = Object.create(same);
    for (const name in plain) row[name] = plain[name][i];
    for (const name in text) row[name] = texts[text[name][i]] ?? null;
    readViews(row);
    row.folder = data.runs[row.run].folder;
    for (const name of ["picture", "picture_thumbnail"]) if (row[name] !== null) row[name] = row.folder + row[name];
    return row;
  });
}

function pictureKey({ group, id }) {
  return JSON.stringify([group, id]);
}

/** The path of a row's file, such as its "overlay"; null if there is none. */
function file(row, column) {
  const named = row.files.split(" ").find((name) => name.startsWith(`${column}.`));
  return named ? `${row.folder}${column}s/${row.stem}${named.slice(column.length)}` : null;
}

/** A class's name; "class 3" if it has only a number. */
function className(name, index) {
  return name === String(index) ? `class ${index}` : name;
}

function targetName(row) {
  return className(row.target_name, row.target) || row.asked || "";
}

function stepName(step) {
  return step === null ? "no step" : `step ${step}`;
}

/** Whether a row's truth or prediction is this class; the truth of a picture with several labels is a list. */
function isClass(row, role, index) {
  return [row[role]].flat().includes(index);
}

/** Whether the prediction is right; null if that is unknown. Rows of older versions do not say it. */
function verdict(row) {
  if (row.right !== null) return row.right;
  return row.truth === null || row.predicted === null ? null : isClass(row, "truth", row.predicted);
}

/** From 2 to 0: wrong with a high score, wrong, right with a low score, right with a high score; -1 if unknown. */
function badness(row) {
  const right = verdict(row);
  if (right === null) return -1;
  const score = Math.min(Math.max(row.score ?? 0, 0), 1);
  return (right ? 0 : 1) + (isClass(row, "truth", row.target) ? 1 - score : score);
}

/** The rows of a run and of a group; "*" is all groups. */
function rowsOf({ run, group }) {
  return rows.filter((row) => row.run === run && (group === "*" || row.group === group));
}

/** Whether a row is of target number `k`; "all" is any, "predicted" and "truth" that of this class. */
function isTarget(row, k) {
  return k === "all" || (k === "predicted" || k === "truth" ? row.target === row[k] : row.k === k);
}

/**
 * The selected rows, by place and by picture. A place has one card: it is one picture at all its steps, or position n of
 * a group whose pictures change from step to step. Where `k` is "all", each of its targets has a card, in their order.
 * `histories` has the rows of each id and target at all steps, whatever their place.
 */
function choose({ run, group, method, layer, k }) {
  const every = k === "all";
  const isChosen = (row) => row.method === method && row.layer === layer && isTarget(row, k);
  const chosen = rowsOf({ run, group }).filter(isChosen);
  const sorted = (list) => list.sort((a, b) => a.at - b.at);
  const pictures = [...Map.groupBy(chosen, (row) => placeKey(row)).values()];
  const together = pictures.flatMap((list) => list.sort((a, b) => a.k - b.k));
  const places = Map.groupBy(together, (row) => placeKey(row, every));
  const histories = Map.groupBy(chosen, (row) => historyKey(row, every));
  histories.forEach(sorted);
  const inSteps = (list) => [...new Set(list.map((row) => row.at))].sort((a, b) => a - b);
  return {
    every,
    named: chosen.some((row) => row.target_name),
    places: [...places].map(([key, list]) => ({ key, picture: placeKey(list[0]), rows: sorted(list) })),
    histories,
    at: new Map([...Map.groupBy(chosen, (row) => row.group)].map(([name, list]) => [name, inSteps(list)])),
  };
}

/** The key of a row's picture; of the picture and the target, where `every` target has a place. */
function placeKey(row, every = false) {
  const key = row.group === null ? row.id : (row.slot ?? row.id);
  return JSON.stringify(every ? [row.group, key, row.k] : [row.group, key]);
}

function historyKey({ group, id, k }, every) {
  return JSON.stringify(every ? [group, id, k] : [group, id]);
}

function historyOf(row, { histories, every }) {
  return histories.get(historyKey(row, every));
}

/** Whether a row fills up a picture that has fewer targets than others, such as a shorter sequence of words. */
function isFiller(row, { named }) {
  return named && row.k > 0 && row.target < 0 && !row.target_name && row.empty;
}

/** The row of each place at a step: its newest row so far. A changing group shows the rows of one step only. */
function entriesAt(selection, at) {
  const newest = new Map([...selection.at].map(([group, steps]) => [group, steps.findLast((other) => other <= at)]));
  const entries = selection.places.map((place) => ({ place, row: place.rows.findLast((row) => row.at <= at) }));
  return entries.filter(({ row }) => row && (row.group === null || row.at === newest.get(row.group)));
}

/** The row of a picture's history with the highest peak. */
function highest(history) {
  return history.reduce((top, row) => ((row.peak ?? -1) > (top.peak ?? -1) ? row : top));
}

/** The factor for the grey values, which are 1 at the map's own peak, so that 1 becomes the top of the scale. */
function factor(row, selection, shared) {
  if (row.peak === null) return 1;
  const top = shared ? highest(historyOf(row, selection)).peak : row.ceiling;
  if (top === null) return 1;
  return top > 0 ? row.peak / top : 0;
}

function number(value) {
  if (value === null) return "–";
  const size = Math.abs(value);
  return size !== 0 && (size < 0.001 || size >= 1e5) ? value.toExponential(2) : String(Number(value.toPrecision(4)));
}

/** The score: with three decimals if it is a probability, else as a number. */
function scoreText(row) {
  return isProbability(row) ? row.score.toFixed(3) : number(row.score);
}

function isProbability({ target, score }) {
  return target >= 0 && score !== null && score >= 0 && score <= 1;
}
