// Two maps of each picture side by side: those of two methods, layers, targets, or steps.

let second = null; // {name, rowOf, selection, at}: its name, its row for an entry, its step if that is fixed; or one map

/** Offer what the selected maps can be compared with. */
function fillCompare() {
  const { group, method, layer, k } = choice();
  const here = rows.filter((row) => isOf(row, group));
  const layers = new Set(here.filter((row) => row.method === method).map((row) => row.layer));
  const targets = k === "all" ? [] : [...controls.k.options].filter(({ value }) => !["all", String(k)].includes(value));
  const groups = {
    method: [...new Set(here.map((row) => row.method))].filter((name) => name !== method).map((name) => [name, name]),
    layer: [...layers].filter((name) => name !== layer).map((name) => [name, name]),
    k: targets.map(({ value, text }) => [value, text]),
    step: steps.length > 1 ? steps.map((step) => [step, stepName(step)]) : [],
  };
  const titles = { method: "another method", layer: "another layer", k: "another target", step: "a fixed step" };
  const before = controls.compare.value;
  controls.compare.replaceChildren(new Option("nothing", ""), ...optionGroups(groups, titles));
  if (isOffered(controls.compare, before)) controls.compare.value = before;
  setVisible("compared", controls.compare.length > 1);
}

function optionGroups(groups, titles) {
  return Object.entries(groups).filter(([, options]) => options.length).map(([kind, options]) => {
    const group = document.createElement("optgroup");
    group.label = titles[kind];
    group.append(...options.map(([value, text]) => new Option(text, `${kind}:${value}`)));
    return group;
  });
}

/** Find the second maps of what is selected. */
function chooseSecond() {
  const [kind, ...rest] = controls.compare.value.split(":");
  const value = rest.join(":");
  grid.classList.toggle("paired", kind !== "");
  if (!kind) second = null;
  else if (kind === "step") second = ofStep(steps.findIndex((step) => String(step) === value));
  else second = ofSelection({ ...choice(), ...changed(kind, value) }, controls.compare.selectedOptions[0].text);
}

/** The part of the choice that is another one; another method has another layer where it lacks the selected one. */
function changed(kind, value) {
  if (kind === "k") return { k: /^\d+$/.test(value) ? Number(value) : value };
  if (kind === "layer") return { layer: value };
  const { group, layer } = choice();
  const layers = rows.filter((row) => isOf(row, group) && row.method === value).map((row) => row.layer);
  return { method: value, layer: layers.includes(layer) ? layer : layers[0] };
}

function ofStep(at) {
  const rowOf = ({ place }) => place.rows.findLast((row) => row.at <= at && row.group === null) ?? null;
  return { name: stepName(steps[at]), rowOf, selection, at };
}

function ofSelection(choice, name) {
  const other = choose(choice);
  const places = new Map(other.places.map(({ key, rows }) => [key, rows]));
  const rowOf = ({ place, row }) => places.get(place.key)?.findLast((one) => one.at === row.at) ?? null;
  return { name, rowOf, selection: other };
}

/** What a card shows of an entry: its map, and beside it the second one. */
function facesOf(entry, at, shared) {
  const face = (row, of, name) => ({ row, name, at, scale: row && factor(row, of, shared) });
  if (!second) return [face(entry.row, selection)];
  const [kind] = controls.compare.value.split(":");
  const own = kind === "step" ? stepName(entry.row.step) : controls[kind].selectedOptions[0].text;
  const other = face(second.rowOf(entry), second.selection, second.name);
  return [face(entry.row, selection, own), { ...other, at: second.at ?? at }];
}
