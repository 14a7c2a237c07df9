// Maps of each picture side by side: the selected one, and those of another run, method, layer or target, of all of
// them, or of a fixed step.

const FEW = 6; // pictures; a page of so few opens with all that there is of each
const KINDS = { run: "run", method: "method", layer: "layer", k: "target", step: "step" };
let beside = []; // what is shown beside the selected maps: {name, rowOf, selection, at}; `at` is a step that is fixed

/** Offer what the selected maps can be compared with. */
function fillCompare() {
  const { run, method, layer, k } = choice();
  const here = rowsOf(choice());
  const ofMethod = here.filter((row) => row.method === method);
  const targets = k === "all" ? [] : [...controls.k.options];
  const isOther = (value) => value !== "all" && value !== String(k);
  const groups = {
    run: runs.filter(([i]) => i !== run),
    method: distinct(here, "method").filter((name) => name !== method).map((name) => [name, name]),
    layer: distinct(ofMethod, "layer").filter((name) => name !== layer).map((name) => [name, name]),
    k: targets.filter(({ value }) => isOther(value)).map(({ value, text }) => [value, text]),
    step: steps.length > 1 ? steps.map((step) => [step, stepName(step)]) : [],
  };
  for (const kind of ["run", "method", "layer"]) {
    if (groups[kind].length > 1) groups[kind].push(["*", `all ${KINDS[kind]}s`]);
  }
  const before = controls.compare.value;
  controls.compare.replaceChildren(new Option("nothing", ""), ...optionGroups(groups));
  if (isOffered(controls.compare, before)) controls.compare.value = before;
  setVisible("compared", controls.compare.length > 1);
}

function optionGroups(groups) {
  return Object.entries(groups).filter(([, options]) => options.length).map(([kind, options]) => {
    const group = document.createElement("optgroup");
    group.label = kind === "step" ? "a fixed step" : `another ${KINDS[kind]}`;
    group.append(...options.map(([value, text]) => new Option(text, `${kind}:${value}`)));
    return group;
  });
}

/** Open with two runs beside each other; where pictures are few, with all runs, methods or layers of each. */
function openCompared() {
  const places = Map.groupBy(rows, (row) => placeKey(row));
  const isFew = places.size <= FEW && steps.length < 2;
  const isShared = [...places.values()].some((list) => distinct(list, "run").length > 1);
  for (const kind of [...(isShared ? ["run"] : []), ...(isFew ? ["method", "layer"] : [])]) {
    const options = controls.compare.querySelectorAll(`[value^="${kind}:"]`);
    if (options.length) return (options[isFew ? options.length - 1 : 0].selected = true);
  }
}

/** The kind of what is compared, and its value; ["", ""] for nothing. */
function compared() {
  const [kind, ...rest] = controls.compare.value.split(":");
  return [kind, rest.join(":")];
}

/** Find the maps beside the selected ones. */
function chooseBeside() {
  const [kind, value] = compared();
  const [option] = controls.compare.selectedOptions;
  const options = value === "*" ? [...option.parentElement.children].slice(0, -1) : [option]; // the last one is "all"
  if (!kind) beside = [];
  else if (kind === "step") beside = [ofStep(steps.findIndex((step) => String(step) === value))];
  else beside = options.map((one) => ofSelection(kind, one));
  grid.classList.toggle("paired", beside.length > 0);
  grid.style.setProperty("--faces", 1 + beside.length);
}

/** The choice with another run, method, layer or target. What it lacks of the other parts, it has otherwise. */
function changed(kind, value) {
  const other = { ...choice(), [kind]: kind === "run" || /^\d+$/.test(value) ? Number(value) : value };
  if (kind === "method" || kind === "layer") other[kind] = value;
  const near = (name, list) => (list.some((row) => row[name] === other[name]) ? other[name] : list[0]?.[name]);
  if (kind === "run") other.method = near("method", rowsOf(other));
  other.layer = near("layer", rowsOf(other).filter((row) => row.method === other.method));
  return other;
}

function ofStep(at) {
  const rowOf = ({ place }) => place.rows.findLast((row) => row.at <= at && row.group === null) ?? null;
  return { name: stepName(steps[at]), rowOf, selection, at };
}

/** Another run shows its newest map so far, as the selected one does; else both maps are of one step. */
function ofSelection(kind, { value, text }) {
  const other = choose(changed(kind, value.slice(kind.length + 1)));
  const places = new Map(other.places.map(({ key, rows }) => [key, rows]));
  const isWith = (one, row, at) => (kind === "run" && row.group === null ? one.at <= at : one.at === row.at);
  const rowOf = ({ place, row }, at) => places.get(place.key)?.findLast((one) => isWith(one, row, at)) ?? null;
  return { name: text, rowOf, selection: other };
}

/** What a card shows of an entry: its map, and the others beside it. */
function facesOf(entry, at, shared) {
  const face = (row, of, name) => ({ row, name, at, scale: row && factor(row, of, shared) });
  const others = beside.map((other) => {
    return { ...face(other.rowOf(entry, at), other.selection, other.name), at: other.at ?? at };
  });
  return [face(entry.row, selection, nameOf(entry.row)), ...others];
}

/** The name of a card's own map: what it is compared by, else its method where the run has several. */
function nameOf(row) {
  const [kind] = compared();
  if (kind === "step") return stepName(row.step);
  if (kind) return controls[kind].selectedOptions[0].text;
  return controls.method.length > 1 ? row.method : "";
}
