// What one sees, in a title and a sentence: facts of the rows, never a guess.

const NAMED = 3; // mistakes, classes or targets that are named one by one

/** Write the title and the sentence about these entries, of which each picture counts once. */
function tellStory(entries, at) {
  const firsts = firstOfEach(entries);
  if (!firsts.length) return;
  const watched = firsts.filter(({ row }) => row.group === null);
  const told = watched.length ? watched : firsts;
  document.getElementById("headline").textContent = headline(told, entries, watched.length < firsts.length);
  const texts = [...(told.some(isJudged) ? verdictTexts(told, firsts, at) : contentTexts(told, entries))];
  document.getElementById("story").replaceChildren(...texts.flatMap((text) => [text, " "]).flat(Infinity));
}

function isJudged({ row }) {
  return verdict(row) !== null;
}

/** What is right of the watched pictures: those of changing groups were chosen because they are wrong. */
function headline(told, entries, isPart) {
  const judged = told.filter(isJudged);
  const right = judged.filter(({ row }) => verdict(row)).length;
  const pictures = `${told.length} picture${told.length === 1 ? "" : "s"}`;
  if (!judged.length) return selection.every ? `${pictures}, ${entries.length} targets` : pictures;
  if (judged[0].row.group !== null) return `${judged.length - right} of ${judged.length} wrong`;
  const count = right === judged.length && right > 1 ? `All ${right}` : `${right} of ${judged.length}`;
  return `${count} ${isPart ? "watched " : ""}right`;
}

/** What was right at the first step, and what was taken for what: in the watched pictures, then in each group. */
function* verdictTexts(told, firsts, at) {
  if (at > 0 && told[0].row.group === null) yield* courseTexts(told);
  const mistakes = firsts.filter(({ row }) => verdict(row) === false).sort((a, b) => badness(b.row) - badness(a.row));
  for (const [group, list] of Map.groupBy(mistakes, ({ row }) => row.group)) {
    const isOther = group !== told[0].row.group;
    const clauses = mistakeClauses(list, isOther);
    if (clauses.length) yield [isOther ? `${capitalised(group)}: ` : "", clauses, "."];
  }
}

function* courseTexts(told) {
  const before = firstOfEach(entriesAt(selection, 0)).filter((entry) => entry.row.group === null && isJudged(entry));
  const right = before.filter(({ row }) => verdict(row)).length;
  if (before.length === told.filter(isJudged).length) yield `${right} ${right === 1 ? "was" : "were"} right at ${stepName(steps[0])}.`;
}

/** The mistakes, each kind of them once: all if they are few, else the most frequent ones. */
function mistakeClauses(mistakes, isInside) {
  const single = mistakes.filter(({ row }) => Number.isInteger(row.truth) && row.predicted !== null);
  const kinds = [...Map.groupBy(single, ({ row }) => JSON.stringify([row.truth, row.predicted])).values()];
  kinds.sort((a, b) => b.length - a.length); // of equally many, the surest mistakes stay first
  const clauses = kinds.slice(0, NAMED).map((list, i) => mistakeLink(list, isInside || i > 0));
  const left = kinds.slice(NAMED).flat().length;
  if (left) clauses.push(`${left} more mistake${left === 1 ? "" : "s"}`);
  return clauses.flatMap((clause, i) => [i === 0 ? "" : i === clauses.length - 1 ? " and " : ", ", clause]);
}

function mistakeLink(list, isInside) {
  const [{ place, row }] = list;
  const times = list.length > 1 ? `, ${list.length} times` : "";
  const where = list.length === 1 ? evidencePlace(row) : "";
  const link = document.createElement("a");
  link.href = `#${new URLSearchParams({ id: row.id })}`;
  const [truth, predicted] = ["truth", "predicted"].map((role) => className(row[`${role}_name`], row[role]));
  const text = `${definite(truth)} was taken for ${indefinite(predicted)}${times}`;
  link.textContent = isInside ? text : capitalised(text);
  link.addEventListener("click", (event) => {
    event.preventDefault();
    openLarge(place.key);
  });
  return where ? [link, where] : [link];
}

/** Where the evidence for a wrong prediction is, if all of it lies in one half or quarter of the picture. */
function evidencePlace(row) {
  if (row.target !== row.predicted || !row.box || !row.size || row.empty || row.signed) return "";
  const [x0, y0, x1, y1] = row.box;
  const side = (low, high, size, names) => (high <= size / 2 ? names[0] : low >= size / 2 ? names[1] : "");
  const down = side(y0, y1, row.size[0], ["top", "bottom"]);
  const across = side(x0, x1, row.size[1], ["left", "right"]);
  if (!down && !across) return "";
  return down && across ? `, by evidence in the ${down} ${across} quarter` : `, by evidence in the ${down || across} half`;
}

function capitalised(text) {
  return text && text[0].toUpperCase() + text.slice(1);
}

const COMMON = /^[a-z]+([ '-][a-z]+)*$/i; // a name that reads as a noun; others are quoted

function definite(name) {
  return /^class \d+$/.test(name) ? name : COMMON.test(name) ? `the ${name}` : `“${name}”`;
}

function indefinite(name) {
  if (!COMMON.test(name) || /[^s]s$/i.test(name)) return /^class \d+$/.test(name) || COMMON.test(name) ? name : `“${name}”`;
  return `${/^[aeiou]/i.test(name) ? "an" : "a"} ${name}`;
}

/** Without truths: how often each class was predicted; without predictions, what was explained. */
function* contentTexts(told, entries) {
  const predicted = told.filter(({ row }) => row.predicted !== null);
  if (predicted.length) {
    const classes = [...Map.groupBy(predicted, ({ row }) => row.predicted).values()].sort((a, b) => b.length - a.length);
    const names = classes.map(([{ row }, ...more]) => `${className(row.predicted_name, row.predicted)}${more.length ? ` (${more.length + 1} times)` : ""}`);
    yield `Predicted: ${listed(names, "class", "classes")}.`;
  } else {
    const names = entries.filter(({ row }) => targetName(row)).map(({ row }) => targetName(row));
    const counted = selection.every ? names : [...new Set(names)];
    if (counted.length) yield `Explained: ${listed(counted, "target", "targets", 12, " · ")}`; // a word may be a full stop
  }
}

function listed(names, one, several, most = 2 * NAMED, between = ", ") {
  const left = names.length - most;
  const named = names.slice(0, most).join(between);
  return left > 0 ? `${named} and ${left} more ${left === 1 ? one : several}` : named;
}
