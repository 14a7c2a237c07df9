// The controls above the grid, and the rows that they select.

const form = document.getElementById("controls");
const controls = form.elements;
const CHOSEN = ["run", "group", "method", "layer", "k"]; // they select maps, each among those of the controls before

/** Set the controls to their initial values, once: the newest step, with the opacity of the logged overlays. */
function setUpControls() {
  for (const range of [controls.step, within("[data-twin=step]")]) range.max = steps.length - 1;
  controls.step.value = steps.length - 1;
  controls.opacity.value = data.alpha;
  fillSelect(controls.run, runs);
  const groups = distinct(rows, "group").sort((a, b) => (a !== null) - (b !== null));
  const all = groups.length > 1 ? [["*", "all"]] : [];
  fillSelect(controls.group, [...all, ...groups.map((group) => [group ?? "", group ?? "watched"])]);
  controls.group.value = groups.length > 1 ? "*" : (groups[0] ?? "");
  const isJudged = rows.some((row) => verdict(row) !== null);
  controls.sort.value = runs.length > 1 ? "differ" : isJudged ? "mistakes" : "logged";
  controls.outline.checked = rows.some((row) => file(row, "outline"));
  setVisible("runs", runs.length > 1);
  setVisible("steps", steps.length > 1);
  setVisible("groups", groups.length > 1);
  setVisible("verdicts", isJudged);
  setVisible("greys", rows.some((row) => kindOf(row) === "grey"));
  setVisible("targets-boxes", rows.some((row) => row.target_box));
  setVisible("boxes", rows.some((row) => row.box));
  setVisible("frames", rows.some(isPlayable));
  setVisible("scales", steps.length > 1 && rows.some((row) => row.peak !== null));
  form.hidden = false;
}

/** Show a control if it has several choices; `control` is its `data-needs`. */
function setVisible(control, visible) {
  for (const element of document.querySelectorAll(`[data-needs=${control}]`)) element.hidden = !visible;
}

/** The distinct values of a column, in order of appearance. */
function distinct(list, column) {
  return [...new Set(list.map((row) => row[column]))];
}

/** Replace the options and keep the selected one, if it is still there. */
function fillSelect(select, options) {
  const before = select.value;
  select.replaceChildren(...options.map(([value, text]) => new Option(text, value)));
  if (options.some(([value]) => String(value) === before)) select.value = before;
}

/** Offer only existing combinations: methods and classes of the run and group, layers of the method, targets of the layer. */
function refine() {
  const here = rowsOf(choice());
  fillSelect(controls.method, distinct(here, "method").map((method) => [method, method]));
  const ofMethod = here.filter((row) => row.method === controls.method.value);
  fillSelect(controls.layer, distinct(ofMethod, "layer").map((layer) => [layer, layer]));
  fillSelect(controls.k, targetOptions(ofMethod.filter((row) => row.layer === controls.layer.value)));
  fillClasses(here);
  setVisible("methods", controls.method.length > 1);
  setVisible("layers", controls.layer.length > 1);
  setVisible("targets", controls.k.length > 1);
  fillCompare();
}

/**
 * The options of the targets of these rows. "predicted" comes first where it is not always the same number. "all" comes
 * first where pictures have no prediction: the words of a sentence, the boxes of a detector.
 */
function targetOptions(list) {
  const numbers = [...new Set(list.map((row) => row.k))].sort((a, b) => a - b);
  const names = numbers.map((k) => targetOption(list.filter((row) => row.k === k)));
  const repeated = new Set(names).size < names.length;
  const options = numbers.map((k, i) => [k, repeated ? `${k + 1}: ${names[i]}` : names[i]]);
  if (options.length < 2) return options;
  const predicted = list.filter((row) => row.predicted !== null && row.target === row.predicted);
  const isComplete = predicted.length * numbers.length === list.length && predicted.some((row) => row.k > 0);
  const missed = list.some((row) => row.truth === row.target && row.target !== row.predicted);
  if (isComplete) options.unshift(["predicted", "predicted class"]);
  if (missed) options.splice(isComplete ? 1 : options.length, 0, ["truth", "true class"]);
  const every = ["all", "all"];
  return list.some((row) => row.predicted !== null) ? [...options, every] : [every, ...options];
}

/** The name of a target's rows: the class if that is the same for all pictures, else the number. */
function targetOption(list) {
  const names = [...new Set(list.map(targetName))];
  return names.length === 1 ? names[0] : `number ${list[0].k + 1}`;
}

function fillClasses(list) {
  const before = controls.class.value;
  const groups = ["truth", "predicted"].map((role) => classGroup(role, list));
  controls.class.replaceChildren(new Option("all", ""), ...groups.filter((group) => group.children.length));
  if (isOffered(controls.class, before)) controls.class.value = before;
  setVisible("classes", controls.class.length > 1);
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
      const index = row[role]?.length === 1 ? row[role][0] : row[role];
      if (Number.isInteger(index) && !names.has(index)) names.set(index, className(row[`${role}_name`], index));
    }
  }
  return names;
}

/** Select what was logged last: where a run was opened again, the first method and layer of the last time. */
function chooseNewest() {
  const here = rowsOf(choice());
  const last = Math.max(...here.map((row) => row.session ?? 0));
  const first = here.find((row) => (row.session ?? 0) === last);
  for (const name of first ? ["method", "layer"] : []) {
    controls[name].value = first[name];
    refine();
  }
}

/** What is selected: run, group, method, layer and target. */
function choice() {
  const { run, group, method, layer, k } = controls;
  const isNumber = /^\d+$/.test(k.value);
  const target = isNumber ? Number(k.value) : k.value;
  return { run: Number(run.value), group: group.value || null, method: method.value, layer: layer.value, k: target };
}

/** Whether a row passes the filters. */
function passes(row) {
  const [role, index] = controls.class.value.split(" ");
  if (role && !isClass(row, role, Number(index))) return false;
  if (controls.wrong.checked && verdict(row) !== false) return false;
  const searched = controls.search.value.trim().toLowerCase();
  const texts = [row.id, targetName(row), ...(selection.every ? [] : [row.predicted_name, row.truth_name])];
  return !searched || texts.some((text) => text?.toLowerCase().includes(searched));
}

/** Set the controls of the large view to the values of the page's controls. */
function mirror() {
  for (const twin of dialog.querySelectorAll("[data-twin]")) {
    const original = controls[twin.dataset.twin];
    if (twin.type === "checkbox") twin.checked = original.checked;
    else twin.value = original.value;
  }
}

/** Pass the value of a control of the large view on to the page's control, as if the user had set that. */
function passOn(twin) {
  const original = controls[twin.dataset.twin];
  if (twin.type === "checkbox") original.checked = twin.checked;
  else original.value = twin.value;
  original.dispatchEvent(new Event("input", { bubbles: true }));
}
