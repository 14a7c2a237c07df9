// Orders of the cards. The targets of a picture stay together.

const collator = new Intl.Collator(undefined, { numeric: true });

/** Sort entries as the control says; those that are equal stay as they were logged. */
function inOrder(entries) {
  const order = controls.sort.value;
  if (order === "logged") return;
  const keyOf = { class: classOf, worst: badness, mistakes: mistakeOf, differ: differenceOf }[order];
  const keys = new Map(); // of the first row of each picture
  for (const entry of entries) {
    if (!keys.has(entry.place.picture)) keys.set(entry.place.picture, keyOf(entry.row, entry));
  }
  const compare = order === "class" ? (a, b) => collator.compare(a, b) : (a, b) => b - a;
  entries.sort((a, b) => compare(keys.get(a.place.picture), keys.get(b.place.picture)));
}

/** The class that a picture shows, as far as it is known. */
function classOf(row) {
  return row.truth_name || row.predicted_name || targetName(row);
}

function mistakeOf(row) {
  return verdict(row) === false ? badness(row) : 0;
}

/** Whether a run beside the selected one predicts something else: 2 if only one of them is right, else 1. */
function differenceOf(row, entry) {
  const others = beside.map((other) => other.rowOf(entry, controls.step.valueAsNumber)).filter(Boolean);
  if (others.some((other) => verdict(other) !== verdict(row))) return 2;
  return Number(others.some((other) => other.predicted !== row.predicted));
}

/** Keep the order of the entries before, as while steps are played; new ones come last. */
function asBefore(entries, before) {
  const positions = new Map(before.map(({ place }, i) => [place.key, i]));
  const positionOf = ({ place }) => positions.get(place.key) ?? before.length;
  entries.sort((a, b) => positionOf(a) - positionOf(b));
}
