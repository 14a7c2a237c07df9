// The wheel goes through the frames of a clip and the slices of a volume. At both ends, it scrolls the page again.

const NOTCH = 100; // pixels that a wheel turns for one part; a touchpad sends many small turns
const CALMED = 400; // milliseconds after which a turn begins anew
let turned = 0;
let turnedAt = -Infinity;

/** Go through the parts of an entry, if there are more in this direction; `by` in pixels. */
function turnWheel(event, entry, by) {
  if (!entry || !isPlayable(entry.row) || !by || event.ctrlKey) return;
  const part = partOf(entry.place, entry.row);
  if (by < 0 ? part === 0 : part === partsOf(entry.row) - 1) return;
  event.preventDefault();
  if (event.timeStamp - turnedAt > CALMED || turned * by < 0) turned = 0;
  turnedAt = event.timeStamp;
  turned += event.deltaMode ? by * NOTCH : by; // else in lines or pages
  const notches = Math.trunc(turned / NOTCH);
  turned -= notches * NOTCH;
  if (notches) frameBy(notches, [entry]);
}

/** On a card, the wheel turns sideways, or where the card has the focus: else it scrolls the page. */
function wheelOnGrid(event) {
  const cell = event.target.closest(".cell");
  const isSideways = Math.abs(event.deltaX) > Math.abs(event.deltaY);
  if (!cell || !(isSideways || cell.contains(document.activeElement))) return;
  turnWheel(event, cell.entry, isSideways ? event.deltaX : event.deltaY);
}

/** In the large view, it turns over the pictures. */
function wheelOnLarge(event) {
  if (!event.target.closest(".views, .profile")) return;
  turnWheel(event, openEntry(), event.deltaY || event.deltaX);
}
