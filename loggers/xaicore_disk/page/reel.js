// The views of the picture in the large view, as a strip of buttons, and the part of its files that is shown.

let reel = null; // the row that the strip shows

/** Fill the strip: a button per part, with its name and a bar for its evidence. */
function fillReel(row, scale) {
  const host = within(".reel");
  host.hidden = partsOf(row) < 2;
  if (host.hidden) return showPart(row, null);
  const list = within(".parts");
  list.setAttribute("aria-label", isPlayable(row) ? "Frames" : "Views");
  list.hidden = isSheet(row) && isPlayable(row); // hundreds of slices: their evidence as bars, in the place of pictures
  within(".reel .profile").hidden = !list.hidden;
  if (list.hidden) list.replaceChildren();
  else if (reel?.row !== row || reel.scale !== scale) {
    list.replaceChildren(...Array.from({ length: partsOf(row) }, (_, part) => partItem(row, scale, part)));
  }
  reel = { row, scale };
  host.querySelector(".player").hidden = !isPlayable(row);
  updateParts();
}

function partItem(row, scale, part) {
  const item = document.getElementById("part").content.firstElementChild.cloneNode(true);
  paint(item.querySelector(".stack"), row, scale, part);
  item.querySelector("span.name").textContent = item.querySelector("button").title = partName(row, part);
  item.querySelector(".meter i").style.setProperty("--share", partShare(row, part));
  item.querySelector("button").addEventListener("click", () => chooseFrame(open, part));
  return item;
}

/** Show the part of the open place. Called for every frame: nothing is built here. */
function updateParts() {
  const { place, row } = openEntry();
  if (partsOf(row) < 2) return;
  const part = partOf(place, row);
  showPart(row, part);
  const buttons = [...within(".parts").querySelectorAll("button")];
  buttons.forEach((button, i) => button.setAttribute("aria-current", i === part));
  if (buttons.length) reveal(within(".parts"), buttons[part]);
  else fillProfile(within(".reel .profile"), row, part);
  if (isPlayable(row)) fillPlayer(within(".reel .player"), place, row);
}

function showPart(row, part) {
  for (const stack of dialog.querySelectorAll(".views .stack")) setPart(stack, row, part);
  within(".views .photo figcaption").textContent = part === null ? "picture" : partName(row, part);
}

/** Scroll a row of elements sideways, and nothing else, until one of them is seen. */
function reveal(list, element) {
  const [outer, inner] = [list.getBoundingClientRect(), element.getBoundingClientRect()];
  if (inner.left < outer.left) list.scrollLeft -= outer.left - inner.left;
  if (inner.right > outer.right) list.scrollLeft += inner.right - outer.right;
}
