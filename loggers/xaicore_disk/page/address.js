// The address: what differs from the first view, and which picture is open, behind the #. It survives a reload and can
// be sent. "#id=cat.png" opens one picture, and so does "#cat.png".

const KEPT = [...CHOSEN, "compare", "step", "class", "sort", "search", "wrong"];
const LOOKS = ["colors", "opacity", "outline", "boxes", "evidence", "shared"];
const initial = {}; // the first view's values
let isWriting = null;

function stateOf(name) {
  const control = controls[name];
  if (name === "step") return String(steps[control.valueAsNumber]);
  return control.type === "checkbox" ? String(Number(control.checked)) : control.value;
}

/** Set a control, if it takes this value. */
function setState(name, text) {
  const control = controls[name];
  const at = name === "step" ? steps.findIndex((step) => String(step) === text) : -1;
  if (name === "step") control.value = at < 0 ? steps.length - 1 : at;
  else if (control.type === "checkbox") control.checked = text === "1";
  else if (control.tagName !== "SELECT" || isOffered(control, text)) control.value = text;
}

function isOffered(select, text) {
  return [...select.options].some(({ value }) => value === text);
}

/** Remember the first view, then show what the address says. */
function readAddressFirst() {
  for (const name of [...KEPT, ...LOOKS]) initial[name] = stateOf(name);
  if (location.hash.length > 1) readAddress();
}

/** Set the controls to what the address says, the others to the first view, and open its picture. */
function readAddress() {
  const text = location.hash.slice(1);
  const said = text.includes("=") ? new URLSearchParams(text) : new URLSearchParams(text && { id: unescaped(text) });
  for (const name of KEPT) {
    const before = stateOf(name);
    setState(name, said.get(name) ?? initial[name]);
    if (CHOSEN.includes(name) && stateOf(name) !== before) refine();
  }
  select();
  for (const name of LOOKS) setState(name, said.get(name) ?? initial[name]);
  useColors();
  const id = said.get("id");
  const place = id === null ? null : selection.places.find((one) => one.rows.some((row) => row.id === id));
  if (place) openLarge(place.key);
  else if (dialog.open) dialog.close();
}

function unescaped(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a lone %
  }
}

/** Write the address soon: browsers refuse to write it more than a hundred times in half a minute. */
function writeAddress() {
  clearTimeout(isWriting);
  isWriting = setTimeout(writeAddressNow, 400);
}

function writeAddressNow() {
  const said = new URLSearchParams();
  for (const name of [...KEPT, ...LOOKS]) if (stateOf(name) !== initial[name]) said.set(name, stateOf(name));
  if (open !== null) said.set("id", openEntry().row.id);
  const text = String(said);
  const whole = text ? `#${text}` : location.pathname + location.search;
  if (text !== location.hash.slice(1)) window.history.replaceState(null, "", whole);
}

window.addEventListener("hashchange", () => {
  readAddress();
  update();
});
