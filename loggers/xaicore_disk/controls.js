// The controls above the grid, and what they choose.

const form = document.getElementById("controls");
const controls = form.elements;

/** All controls, once, for a run that is seen for the first time: the newest step, as it was drawn. */
function setUpControls() {
  for (const range of [controls.step, within("[data-twin=step]")]) range.max = steps.length - 1;
  controls.step.value = steps.length - 1;
  controls.opacity.value = data.alpha;
  const groups = valuesOf("group").sort((a, b) => (a !== null) - (b !== null));
  fillSelect(controls.group, groups.map((group) => [group ?? "", group ?? "fixed"]));
  need("steps", steps.length > 1);
  need("groups", groups.length > 1);
  need("verdicts", rows.some((row) => verdict(row) !== null));
  need("scales", steps.length > 1 && rows.some((row) => row.peak !== null));
  form.hidden = false;
}

/** Show a control only where there is something to choose. */
function need(what, needed) {
  for (const part of document.querySelectorAll(`[data-needs=${what}]`)) part.hidden = !needed;
}

/** A column's different values, in the order in which they come, of the rows that pass. */
function valuesOf(column, passes = () => true) {
  return [...new Set(rows.filter(passes).map((row) => row[column]))];
}

/** What was chosen stays chosen, if it still can be. */
function fillSelect(select, options) {
  const before = select.value;
  select.replaceChildren(...options.map(([value, text]) => new Option(text, value)));
  if (options.some(([value]) => String(value) === before)) select.value = before;
}

/** Offer what the choices so far leave: methods and classes of the group, layers of the method, targets of both. */
function refine() {
  const group = controls.group.value || null;
  const ofGroup = (row) => row.group === group;
  fillSelect(controls.method, valuesOf("method", ofGroup).map((method) => [method, method]));
  const ofMethod = (row) => ofGroup(row) && row.method === controls.method.value;
  fillSelect(controls.layer, valuesOf("layer", ofMethod).map((layer) => [layer, layer]));
  const ofLayer = (row) => ofMethod(row) && row.layer === controls.layer.value;
  const numbers = valuesOf("k", ofLayer).sort((a, b) => a - b);
  fillSelect(controls.k, numbers.map((k) => [k, targetOption(k, (row) => ofLayer(row) && row.k === k)]));
  fillClasses(rows.filter(ofGroup));
  need("methods", controls.method.length > 1);
  need("layers", controls.layer.length > 1);
  need("targets", controls.k.length > 1);
  grid.classList.toggle("tall", controls.k.length > 1); // their cards name the prediction, too
}

/** A target is called by its class where that is the same for all pictures. */
function targetOption(k, passes) {
  const names = [...new Set(rows.filter(passes).map(targetName))];
  return names.length === 1 ? names[0] : `number ${k + 1}`;
}

function fillClasses(list) {
  const before = controls.class.value;
  const groups = ["truth", "predicted"].map((role) => classGroup(role, list));
  controls.class.replaceChildren(new Option("all", ""), ...groups.filter((group) => group.children.length));
  if ([...controls.class.options].some((option) => option.value === before)) controls.class.value = before;
  need("classes", controls.class.length > 1);
}

function classGroup(role, list) {
  const names = classNames(list);
  const classes = [...new Set(list.flatMap((row) => row[role] ?? []))]; // several where pictures have several labels
  const options = classes.map((index) => [names.get(index) ?? `class ${index}`, `${role} ${index}`]);
  options.sort(([a], [b]) => a.localeCompare(b, undefined, { numeric: true }));
  const group = document.createElement("optgroup");
  group.label = `${role} is`;
  group.append(...options.map(([name, value]) => new Option(name, value)));
  return group;
}

/** The names of the rows' classes. Those of several labels are one text, which does not say whose name is where. */
function classNames(list) {
  const names = new Map();
  for (const row of list) {
    for (const role of ["truth", "predicted", "target"]) {
      const [index, ...others] = [row[role]].flat();
      if (Number.isInteger(index) && !others.length) names.set(index, className(row[`${role}_name`], index));
    }
  }
  return names;
}

/** What group, method, layer and target choose. */
function chosen() {
  const { group, method, layer, k } = controls;
  return choose({ group: group.value || null, method: method.value, layer: layer.value, k: Number(k.value) });
}

/** Whether the filters let a row pass. */
function passes(row) {
  const [role, index] = controls.class.value.split(" ");
  if (role && !isClass(row, role, Number(index))) return false;
  if (controls.wrong.checked && verdict(row) !== false) return false;
  return row.id.toLowerCase().includes(controls.search.value.trim().toLowerCase());
}

/** Controls of the large view repeat those of the page. */
function mirror() {
  for (const twin of dialog.querySelectorAll("[data-twin]")) {
    const original = controls[twin.dataset.twin];
    if (twin.type === "checkbox") twin.checked = original.checked;
    else twin.value = original.value;
  }
}

/** Set the original of a control of the large view, as if it had been used itself. */
function passOn(twin) {
  const original = controls[twin.dataset.twin];
  if (twin.type === "checkbox") original.checked = twin.checked;
  else original.value = twin.value;
  original.dispatchEvent(new Event("input", { bubbles: true }));
}
