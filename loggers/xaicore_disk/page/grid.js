// The grid of cards. Every place has a cell of the right size; only cells near the window have a card in them.

const grid = document.getElementById("grid");
const cells = new Map();
const near = new Set();
const observer = new IntersectionObserver(updateNearCells, { rootMargin: "600px" });

function updateNearCells(changes) {
  for (const { target: cell, isIntersecting } of changes) {
    if (isIntersecting) {
      near.add(cell);
      fillCell(cell);
    } else {
      near.delete(cell);
      cell.replaceChildren();
    }
  }
}

/** Put the cells of these entries into the grid, in this order; `fill` fills a card for an entry. */
function arrange(entries, fill) {
  const ordered = entries.map((entry) => {
    const cell = cellOf(entry.place.key);
    Object.assign(cell, { entry, fill });
    return cell;
  });
  ordered.forEach((cell, i) => cell.classList.toggle("first", !i || !isSamePicture(cell.entry, ordered[i - 1].entry)));
  if (ordered.length !== grid.children.length || ordered.some((cell, i) => cell !== grid.children[i])) reorder(ordered);
  for (const cell of near) if (cell.isConnected) fillCell(cell);
}

function isSamePicture(a, b) {
  return placeKey(a.row) === placeKey(b.row);
}

function reorder(ordered) {
  const focused = grid.contains(document.activeElement) && document.activeElement.closest(".cell");
  grid.replaceChildren(...ordered);
  if (focused?.isConnected) focusCell(focused);
}

function cellOf(key) {
  if (!cells.has(key)) {
    const cell = document.createElement("li");
    cell.className = "cell";
    cells.set(key, cell);
    observer.observe(cell);
  }
  return cells.get(key);
}

function fillCell(cell) {
  if (!cell.firstElementChild) cell.append(document.getElementById("card").content.firstElementChild.cloneNode(true));
  cell.fill(cell.firstElementChild, cell.entry);
  const { place, row } = cell.entry;
  if (isPlayable(row)) fillPlayer(ensure(cell, "player"), place, row);
  else cell.querySelector(".player")?.remove();
}

function focusCell(cell) {
  fillCell(cell);
  cell.firstElementChild.focus({ preventScroll: true });
  cell.scrollIntoView({ block: "nearest" });
}

/** Move the focus from a cell to its neighbour in the direction of an arrow key. */
function moveFocus(cell, key) {
  const sideways = { ArrowLeft: cell.previousElementSibling, ArrowRight: cell.nextElementSibling };
  const next = key in sideways ? sideways[key] : neighbourAcross(cell, key === "ArrowUp" ? -1 : 1);
  if (next) focusCell(next);
}

/** The cell above (by -1) or below (by 1); the last one of a line that is too short. */
function neighbourAcross(cell, by) {
  const all = [...grid.children];
  const further = by < 0 ? all.slice(0, all.indexOf(cell)).reverse() : all.slice(all.indexOf(cell) + 1);
  const top = further.find((other) => other.offsetTop !== cell.offsetTop)?.offsetTop;
  const line = further.filter((other) => other.offsetTop === top && other.offsetLeft <= cell.offsetLeft);
  return line.sort((a, b) => b.offsetLeft - a.offsetLeft)[0];
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

/** Load the images of entries that the cells near the window show next. */
function preload(entries) {
  const nearKeys = new Set([...near].map((cell) => cell.entry.place.key));
  for (const { place, row } of entries) {
    const paths = nearKeys.has(place.key) ? [row.picture, file(row, kindOf(row))] : [];
    for (const path of paths) if (path !== null) new Image().src = path;
  }
}
