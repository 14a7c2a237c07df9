// Going from frame to frame of a clip, or from slice to slice of a volume, by hand or by playing. Each place has a frame
// of its own.

const FRAME = 250; // milliseconds per frame
const SLICE = 100; // milliseconds per slice, of which there are more
const CALM = matchMedia("(prefers-reduced-motion: reduce)"); // then once to the end, at the pace of steps
const partAt = new Map(); // the part that was chosen, by place
const running = new Set(); // the places that play
let clock = null;

/** The part that a place shows: the chosen one, else that with the most evidence at the newest step. */
function partOf(place, row) {
  const part = partAt.get(place.key) ?? strongest(place.rows.at(-1));
  return Math.min(part, partsOf(row) - 1);
}

function goToPart(key, part) {
  partAt.set(key, part);
  const cell = cells.get(key);
  if (cell) fillCell(cell);
  if (open === key) updateParts();
}

/** The entries that keys are for: that of the large view, that of the card with the focus, else all. */
function addressed() {
  const focused = document.activeElement?.closest(".cell")?.entry;
  const there = open === null ? (focused ? [focused] : shown) : [openEntry()];
  return there.filter((entry) => entry && isPlayable(entry.row));
}

/** Play or pause these: if any of them plays, all pause. */
function playFrames(entries = addressed()) {
  const any = entries.some(({ place }) => running.has(place.key));
  for (const { place, row } of entries) {
    if (any) running.delete(place.key);
    else running.add(place.key);
    const ended = partOf(place, row) === partsOf(row) - 1;
    goToPart(place.key, !any && ended ? 0 : partOf(place, row));
  }
  keepTime();
}

function frameBy(by, entries = addressed()) {
  for (const { place, row } of entries) {
    running.delete(place.key);
    goToPart(place.key, Math.min(Math.max(partOf(place, row) + by, 0), partsOf(row) - 1));
  }
  keepTime();
}

/** Set the frame of a place by hand, which ends its playing. */
function chooseFrame(key, part) {
  running.delete(key);
  goToPart(key, part);
  keepTime();
}

function keepTime() {
  if (!running.size) {
    clearInterval(clock);
    clock = null;
  } else if (clock === null) clock = setInterval(nextFrames, CALM.matches ? PAUSE : shown.some(isOfSlices) ? SLICE : FRAME);
}

function isOfSlices({ row }) {
  return partWord(row) === "slice";
}

function nextFrames() {
  for (const key of [...running]) {
    const place = selection.places.find((one) => one.key === key);
    const row = place?.rows.at(-1);
    if (!row || !isPlayable(row)) running.delete(key);
    else {
      const next = (partOf(place, row) + 1) % partsOf(row);
      if (CALM.matches && next === partsOf(row) - 1) running.delete(key);
      goToPart(key, next);
    }
  }
  keepTime();
}

/** Set the button and the slider of a place's player. */
function fillPlayer(player, place, row) {
  const part = partOf(place, row);
  const [button, range, label] = ["button", "input", ".frame"].map((name) => player.querySelector(name));
  const plays = running.has(place.key);
  button.classList.toggle("playing", plays);
  const word = partWord(row);
  button.setAttribute("aria-label", `${plays ? "pause" : "play"} the ${word}s of ${row.id}`);
  button.title = `${plays ? "pause" : "play"} the ${word}s (k)`;
  range.max = partsOf(row) - 1;
  range.value = part;
  range.setAttribute("aria-label", `${word} of ${row.id}`);
  range.setAttribute("aria-valuetext", partName(row, part));
  if (label) label.textContent = partName(row, part);
}
