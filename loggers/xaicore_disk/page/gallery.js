// The page: its state, updates and events.

let selection; // the rows of the selected group, method, layer and target; see choose()
let shown = []; // the entries of the grid, in order
let scaleText = ""; // what the top of the scale is in all cards
let open = null; // the key of the place in the large view

/** Update the page to the controls. */
function update() {
  const at = controls.step.valueAsNumber;
  const here = entriesAt(selection, at).filter(({ row }) => !selection.every || !isFiller(row, selection));
  const before = shown;
  shown = here.filter(({ row }) => passes(row));
  if (timer === null) inOrder(shown);
  else asBefore(shown, before);
  grid.classList.toggle("every", selection.every);
  document.body.style.setProperty("--opacity", controls.opacity.value);
  arrange(shown, (card, entry) => {
    fillCard(card, facesOf(entry, at, controls.shared.checked), partOf(entry.place, entry.row));
  });
  showCounts(here);
  tellStory(here, at);
  showStep(at);
  mirror();
  writeAddress();
  if (open !== null) updateLarge(at);
}

/** Find the rows of what is selected. */
function select() {
  selection = choose(choice());
  chooseBeside();
  const chosen = selection.places.map(({ rows: [row] }) => row);
  makeRoom(chosen);
  offerColors(chosen);
}

/** Let the cards have room for what these rows say: a verdict, and where another class is explained, the prediction. */
function makeRoom(list) {
  const isJudged = list.some(verdictText);
  const isOther = list.some((row) => row.predicted !== null && row.predicted !== row.target);
  grid.classList.toggle("tall", isJudged && (isOther || controls.compare.value.startsWith("k:")));
  grid.classList.toggle("brief", !isJudged);
}

/** The first entry of each picture. */
function firstOfEach(entries) {
  if (!selection.every) return entries;
  return [...Map.groupBy(entries, ({ place }) => place.picture).values()].map(([first]) => first);
}

function showCounts(entries) {
  const [here, left] = [firstOfEach(entries), firstOfEach(shown)];
  const pictures = counted(here.length, "picture");
  const texts = [left.length === here.length ? pictures : `${left.length} of ${pictures}`];
  if (selection.every) texts.push(counted(shown.length, "target"));
  form.querySelector(".status").textContent = texts.join(" · ");
  document.getElementById("none").hidden = shown.length > 0;
  const isAny = (test) => here.some(({ row }) => test(row));
  const own = isAny((row) => row.scaling === "robust") ? "99th percentile" : "maximum";
  const given = isAny((row) => row.ceiling !== null) ? "a fixed scale" : `each map's own ${own}`;
  scaleText = controls.shared.checked ? "the picture's maximum over all steps" : given;
  nameEnds(form.querySelector(".legend"), isAny((row) => row.signed), scaleText);
}

function showStep(at) {
  const name = stepName(steps[at]);
  for (const output of document.querySelectorAll("output.step")) output.textContent = name;
  for (const range of document.querySelectorAll(".time input")) range.setAttribute("aria-valuetext", name);
}

/** The place in the large view and its row; a picture without a row at this step shows its last row before. */
function openEntry() {
  const place = selection.places.find(({ key }) => key === open);
  const at = controls.step.valueAsNumber;
  return place && { place, row: place.rows.findLast((row) => row.at <= at) ?? place.rows[0] };
}

/** Update the large view; it names the row's step if it is another one. */
function updateLarge(at) {
  const entry = openEntry();
  if (!entry) return dialog.close();
  const { row } = entry;
  const where = shown.findIndex((entry) => entry.place.key === open);
  const position = where < 0 ? "left out by the filters" : `${where + 1} of ${shown.length}`;
  within(".where").textContent = row.at === at ? position : `${position} · from ${stepName(row.step)}`;
  within(".previous").disabled = where < 0 ? !shown.length : where === 0;
  within(".next").disabled = where < 0 ? !shown.length : where === shown.length - 1;
  fillLarge(facesOf(entry, at, controls.shared.checked), selection, controls.shared.checked);
}

function openLarge(key) {
  open = key;
  if (!dialog.open) dialog.showModal();
  update();
  within(".body").scrollTop = 0;
}

/** Go to the next or previous picture of the grid; from a picture that is not in the grid, to the first or last. */
function turnPage(by) {
  const where = shown.findIndex(({ place }) => place.key === open);
  const next = where < 0 ? shown.at(by > 0 ? 0 : -1) : shown[where + by];
  if (next) openLarge(next.place.key);
}

/** Go to the step of a row, and to its place: in a changing group, a picture's place differs from step to step. */
function goTo(row) {
  open = placeKey(row, selection.every);
  controls.step.value = row.at;
  update();
}

/** Select the run, method, layer and target of a row; all targets stay selected. */
function chooseMap(row) {
  for (const name of ["run", "method", "layer", ...(selection.every ? [] : ["k"])]) {
    controls[name].value = row[name];
    refine();
  }
  select();
  goTo(row);
}

form.addEventListener("input", ({ target }) => {
  if (CHOSEN.includes(target.name)) {
    refine();
    select();
  }
  if (target.name === "compare") select();
  if (target.name === "colors") useColors();
  if (target.name === "step") stop();
  update();
});
form.addEventListener("submit", (event) => event.preventDefault());
form.querySelector(".more").addEventListener("click", ({ currentTarget }) => {
  currentTarget.setAttribute("aria-expanded", form.classList.toggle("expanded"));
});
for (const button of document.querySelectorAll(".time .play")) button.addEventListener("click", play);
grid.addEventListener("click", (event) => {
  const cell = event.target.closest(".cell");
  const player = event.target.closest(".player");
  if (player) return event.target.closest("button") && playFrames([cell.entry]);
  if (!cell || event.ctrlKey || event.metaKey || event.shiftKey) return; // the browser follows the link to the file
  event.preventDefault();
  openLarge(cell.entry.place.key);
});
grid.addEventListener("input", ({ target }) => {
  chooseFrame(target.closest(".cell").entry.place.key, target.valueAsNumber);
});
grid.addEventListener("wheel", wheelOnGrid, { passive: false });
dialog.addEventListener("wheel", wheelOnLarge, { passive: false });
within(".reel .profile").addEventListener("click", ({ currentTarget, clientX }) => {
  chooseFrame(open, partAtX(currentTarget, clientX));
});
dialog.addEventListener("input", ({ target }) => {
  if (target.closest(".player")) chooseFrame(open, target.valueAsNumber);
  else passOn(target);
});
within(".reel .play").addEventListener("click", () => playFrames([openEntry()]));
within(".previous").addEventListener("click", () => turnPage(-1));
within(".next").addEventListener("click", () => turnPage(1));
within(".close").addEventListener("click", () => dialog.close());
dialog.addEventListener("click", ({ target }) => target === dialog && dialog.close()); // a click outside closes it
dialog.addEventListener("close", () => {
  const position = shown.findIndex(({ place }) => place.key === open);
  open = null;
  writeAddress();
  if (position >= 0) focusAt(position);
});
window.addEventListener("resize", () => open !== null && update()); // the curve fills the width

document.body.style.setProperty("--alpha", Math.max(data.alpha, 0.01));
shapeCells();
setUpControls();
refine();
chooseNewest();
openCompared();
select();
showPlaying(false);
readAddressFirst();
update();
