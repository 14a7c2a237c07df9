// The grid of cards. Only the lines near the window are in the page; padding stands for the others.

const grid = document.getElementById("grid");
const cells = new Map(); // the cells that are in the page, by the key of their place
const NEAR = 400; // pixels above and below the window in which lines are filled, too
let all = []; // the entries, in order
let lines = [0]; // where each line begins, as positions in `all`
let fill = null; // fills a card for an entry

/** Show these entries, in this order; `fillWith` fills a card for an entry. */
function arrange(entries, fillWith) {
  [all, fill] = [entries, fillWith];
  layOut();
}

/** Distribute the entries over lines of the style's columns. Where a picture has several targets, it begins a line. */
function layOut() {
  const columns = getComputedStyle(grid).gridTemplateColumns.split(" ").length;
  const begins = (i) => i - lines.at(-1) === columns || (selection.every && isFirst(i));
  lines = [];
  for (let i = 0; i < all.length; i++) if (!i || begins(i)) lines.push(i);
  fillWindow(true);
}

/** Put the lines near the window into the page; `again` fills those that are there already, too. */
function fillWindow(again = false) {
  if (all.length && !grid.firstElementChild) put(0, lines[1] ?? all.length); // to measure their height
  const height = lineHeight();
  const top = -grid.getBoundingClientRect().top;
  const last = Math.max(lines.length - 1, 0);
  const line = (y) => Math.min(Math.max(Math.floor(y / height), 0), last);
  const [first, end] = [line(top - NEAR), line(top + innerHeight + NEAR)];
  put(lines[first] ?? 0, lines[end + 1] ?? all.length, again);
  grid.style.paddingTop = `${first * height}px`;
  grid.style.paddingBottom = `${(last - end) * height}px`;
}

/** A line's height with the gap below; the style says it, and all lines have the same. */
function lineHeight() {
  const height = grid.firstElementChild?.getBoundingClientRect().height ?? 0;
  return height + parseFloat(getComputedStyle(grid).rowGap) || 1;
}

/** Let the page have the cells of the entries from `start` to `end`, and keep the focus. */
function put(start, end, again = true) {
  const focused = grid.contains(document.activeElement) && document.activeElement.closest(".cell");
  const wanted = new Set(all.slice(start, end).map(({ place }) => place.key));
  for (const [key, cell] of cells) {
    if (!wanted.has(key)) {
      cells.delete(key);
      cell.remove();
    }
  }
  for (let i = start; i < end; i++) {
    const known = cells.get(all[i].place.key);
    const cell = known ?? newCell(all[i].place.key);
    cell.entry = all[i];
    if (cell !== grid.children[i - start]) grid.insertBefore(cell, grid.children[i - start] ?? null);
    cell.classList.toggle("first", isFirst(i));
    cell.setAttribute("aria-setsize", all.length);
    cell.setAttribute("aria-posinset", i + 1);
    if (again || !known) fillCell(cell);
  }
  if (focused?.isConnected && focused !== document.activeElement.closest(".cell")) focusOn(focused);
}

/** Whether an entry is the first one of its picture. */
function isFirst(i) {
  return !i || all[i].place.picture !== all[i - 1].place.picture;
}

function newCell(key) {
  const cell = document.createElement("li");
  cell.className = "cell";
  cell.append(document.getElementById("card").content.firstElementChild.cloneNode(true));
  cells.set(key, cell);
  return cell;
}

function fillCell(cell) {
  const { place, row } = cell.entry;
  fill(cell.querySelector(".card"), cell.entry);
  if (isPlayable(row)) fillPlayer(ensure(cell, "player"), place, row);
  else cell.querySelector(".player")?.remove();
}

/** Move the focus to the card of a position, wherever that is. */
function focusAt(position) {
  const line = lines.findLastIndex((start) => start <= position);
  const place = grid.getBoundingClientRect().top + line * lineHeight();
  if (!cells.has(all[position].place.key)) window.scrollBy(0, place - innerHeight / 2);
  fillWindow();
  focusOn(cells.get(all[position].place.key));
}

function focusOn(cell) {
  cell.querySelector(".card").focus({ preventScroll: true });
  cell.scrollIntoView({ block: "nearest" });
}

/** Move the focus from a cell to its neighbour in the direction of an arrow key. */
function moveFocus(cell, key) {
  const here = all.indexOf(cell.entry);
  const next = { ArrowLeft: here - 1, ArrowRight: here + 1 }[key] ?? positionAcross(here, key === "ArrowUp" ? -1 : 1);
  if (next >= 0 && next < all.length) focusAt(next);
}

/** The position above (by -1) or below (by 1); the last one of a line that is too short. */
function positionAcross(here, by) {
  const line = lines.findLastIndex((start) => start <= here);
  const other = line + by;
  if (!(other in lines)) return here;
  return Math.min(lines[other] + here - lines[line], (lines[other + 1] ?? all.length) - 1);
}

const WIDE = 2.2; // in heights: pictures such as curves, which get wide cards

/** Give all cells one shape: that of the pictures, or a square if these differ; leave room for players. */
function shapeCells() {
  grid.classList.toggle("clips", rows.some(isPlayable));
  const shapes = [...new Set(rows.map(cardShape))];
  const isWide = shapes.every((shape) => shape > WIDE);
  grid.classList.toggle("wide", isWide);
  const shape = isWide ? Math.min(...shapes) : shapes.length === 1 ? shapes[0] : 1;
  grid.style.setProperty("--shape", Math.min(Math.max(shape, 0.6), isWide ? 4.5 : 1.8));
}

/** Load the images of entries that the cells in the page show next. */
function preload(entries) {
  for (const { place, row } of entries) {
    const paths = cells.has(place.key) ? smallOf(row, kindOf(row)) : [];
    for (const path of paths) if (path !== null) new Image().src = path;
  }
}

let isDue = false;
window.addEventListener(
  "scroll",
  () => {
    if (!isDue) requestAnimationFrame(() => ((isDue = false), fillWindow()));
    isDue = true;
  },
  { passive: true },
);
window.addEventListener("resize", layOut);
