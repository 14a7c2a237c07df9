// What one sees, in a title and a sentence: facts of the rows, never a guess.

const NAMED = 3; // mistakes, classes or targets that are named one by one

/** Write the title and the sentence about these entries, of which each picture counts once. */
function tellStory(entries, at) {
  const firsts = firstOfEach(entries);
  const watched = firsts.filter(({ row }) => row.group === null);
  const told = watched.length ? watched : firsts;
  const judged = compared()[0] === "run" && told.some(isJudged) ? judgedRuns(told, at) : null;
  const title = judged ? headlineOfRuns(judged) : headline(told, entries, watched.length < firsts.length);
  document.getElementById("headline").textContent = title;
  const texts = judged ? differenceTexts(judged) : textsOf(told, entries, firsts, at);
  document.getElementById("story").replaceChildren(...[...texts].flatMap((text) => [text, " "]).flat(Infinity));
}

function textsOf(told, entries, firsts, at) {
  return told.some(isJudged) ? verdictTexts(told, firsts, at) : contentTexts(told, entries);
}

function isJudged({ row }) {
  return verdict(row) !== null;
}

/** What is right of the watched pictures: those of changing groups were chosen because they are wrong. */
function headline(told, entries, isPart) {
  const judged = told.filter(isJudged);
  const right = judged.filter(({ row }) => verdict(row)).length;
  const targets = selection.every ? `, ${counted(entries.length, "target")}` : "";
  if (!judged.length) return counted(told.length, "picture") + targets;
  if (judged[0].row.group !== null) return `${judged.length - right} of ${judged.length} wrong`;
  const count = right === judged.length && right > 1 ? `All ${right}` : `${right} of ${judged.length}`;
  return `${count} ${isPart ? "watched " : ""}right`;
}

/** The runs side by side: the verdicts of each, by picture; null where a run lacks the picture or its truth. */
function judgedRuns(told, at) {
  const own = { name: controls.run.selectedOptions[0].text, rowOf: ({ row }) => row };
  return [own, ...beside].map(({ name, rowOf }) => {
    const verdicts = told.map((entry) => rowOf(entry, at)).map((row) => row && verdict(row));
    const known = verdicts.filter((one) => one !== null);
    return { name, verdicts, right: known.filter(Boolean).length, known: known.length };
  });
}

/** "first: 19 of 20 right, second: 5 of 20"; a run whose truth is unknown is left out. */
function headlineOfRuns(judged) {
  const told = judged.filter(({ known }) => known);
  const texts = told.map(({ name, right, known }, i) => `${name}: ${right} of ${known}${i ? "" : " right"}`);
  return texts.join(", ");
}

/** On how many pictures only one of two runs is right; nothing where neither is right on a picture of both. */
function* differenceTexts(judged) {
  if (judged.length !== 2) return;
  const [a, b] = judged;
  const both = a.verdicts.map((one, i) => [one, b.verdicts[i]]).filter((pair) => !pair.includes(null));
  if (!both.flat().includes(true)) return;
  const clauses = judged.flatMap(({ name }, i) => {
    const alone = both.filter((pair) => pair[i] && !pair[1 - i]).length;
    return alone ? `only ${name} is right on ${counted(alone, "picture")}` : [];
  });
  yield clauses.length ? `${capitalised(clauses.join(", "))}.` : "Both are right on the same pictures.";
}

/** What was right at the first step, and what was taken for what: in the watched pictures, then in each group. */
function* verdictTexts(told, firsts, at) {
  if (at > 0 && steps[0] !== null && told[0].row.group === null) yield* courseTexts(told);
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
  const isSame = before.length === told.filter(isJudged).length;
  if (isSame) yield `${right} ${right === 1 ? "was" : "were"} right at ${stepName(steps[0])}.`;
}

/** The mistakes, each kind of them once: all if they are few, else the most frequent ones. */
function mistakeClauses(mistakes, isInside) {
  const single = mistakes.filter(({ row }) => Number.isInteger(row.truth) && row.predicted !== null);
  const kinds = [...Map.groupBy(single, ({ row }) => JSON.stringify([row.truth, row.predicted])).values()];
  kinds.sort((a, b) => b.length - a.length); // of equally many, the surest mistakes stay first
  const clauses = kinds.slice(0, NAMED).map((list, i) => mistakeLink(list, isInside || i > 0));
  const left = kinds.slice(NAMED).flat().length;
  if (left) clauses.push(counted(left, "more mistake"));
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
  const place = down && across ? `${down} ${across} quarter` : `${down || across} half`;
  return `, by evidence in the ${place}`;
}

/** Without truths: how often each class was predicted; without predictions, what was explained. */
function* contentTexts(told, entries) {
  const predicted = told.filter(({ row }) => row.predicted !== null);
  const classes = [...Map.groupBy(predicted, ({ row }) => row.predicted).values()].sort((a, b) => b.length - a.length);
  const names = classes.map(([{ row }, ...more]) => {
    return className(row.predicted_name, row.predicted) + (more.length ? ` (${more.length + 1} times)` : "");
  });
  if (names.length) yield `Predicted: ${listed(names, "class", "classes")}.`;
  if (names.length) return;
  const targets = entries.map(({ row }) => targetName(row)).filter(Boolean);
  const different = selection.every ? targets : [...new Set(targets)];
  // A word may be a comma or a full stop.
  if (different.length) yield `Explained: ${listed(different, "target", "targets", 4 * NAMED, " · ")}`;
}
